/* Quotes on hover and focus; sources beside the conversation, on a phone over it. */
{
  let from = null;
  let row = [];
  let hiding = 0;
  let legend = "";

  const quote = () => page.one("#quote");

  page.showQuote = (link) => {
    clearTimeout(hiding);
    const box = quote();
    box.replaceChildren(
      page.element("q", { textContent: link.dataset.quote }),
      page.element("small", { textContent: link.dataset.from }),
    );
    box.hidden = false;
    link.setAttribute("aria-describedby", "quote");
    const at = link.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left - 24), innerWidth - box.offsetWidth - 8);
    const above = at.top - box.offsetHeight - 6;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${above > 8 ? above : at.bottom + 6}px`;
  };

  page.hideQuote = () => {
    quote().hidden = true;
    page.one("[aria-describedby=quote]")?.removeAttribute("aria-describedby");
  };

  page.startQuotes = () => {
    document.body.append(quote());
    legend = page.one("#source-body").innerHTML;
    const link = (event) => event.target.closest?.(".cite");
    const later = () => { hiding = setTimeout(page.hideQuote, 150); };
    document.addEventListener("mouseover", (event) => { if (link(event)) page.showQuote(link(event)); });
    document.addEventListener("mouseout", (event) => { if (link(event)) later(); });
    document.addEventListener("focusin", (event) => { if (link(event)) page.showQuote(link(event)); });
    document.addEventListener("focusout", (event) => { if (link(event)) page.hideQuote(); });
    quote().addEventListener("mouseenter", () => clearTimeout(hiding));
    quote().addEventListener("mouseleave", later);
  };

  /* Open a provision; `link` is what was clicked, to which Escape returns. */
  page.open = async (place, start, stop, link) => {
    const span = stop ? { start, stop } : {};
    page.hideQuote();
    if (link && !link.closest("#source")) from = link;
    row = link ? siblings(link) : [];
    const at = row.findIndex((other) => same(other, place, start));
    page.one("#place").textContent = link?.classList.contains("cite")
      ? `Source ${link.textContent}` : "Source";
    for (const [name, next] of [["previous", row[at - 1]], ["next", row[at + 1]]]) {
      const button = page.one(`#source [data-do=${name}]`);
      button.hidden = row.length < 2;
      button.disabled = !next;
      button.onclick = () => page.open(next.dataset.open, next.dataset.start, next.dataset.stop, next);
    }
    page.one("#source [data-do=close]").hidden = false;
    page.one("#source").classList.add("open");
    page.all(".cite.current").forEach((other) => other.classList.remove("current"));
    page.all(".cite").filter((other) => same(other, place, start) && other.closest("article") === link?.closest("article"))
      .forEach((other) => other.classList.add("current"));
    const body = page.one("#source-body");
    await page.fill(body, `read/provision?${new URLSearchParams({ id: place, ...span })}`);
    if (!page.isSourceOpen()) { // closed meanwhile
      body.innerHTML = legend;
      return;
    }
    body.scrollTop = 0;
    page.one("h2", body)?.focus({ preventScroll: true });
    page.one("mark", body)?.scrollIntoView({ block: "nearest" });
  };

  page.doing.close = () => {
    page.one("#source").classList.remove("open");
    page.all(".cite.current").forEach((other) => other.classList.remove("current"));
    page.one("#source-body").innerHTML = legend;
    page.all("#source .bar button").forEach((button) => { button.hidden = true; });
    page.one("#place").textContent = "";
    from?.focus();
    from = null;
  };

  page.isSourceOpen = () => page.one("#source").classList.contains("open");

  const same = (link, place, start) => link.dataset.open === place && (link.dataset.start || "") === (start || "");

  /* The sources that stand together with a link: those of its answer, or of its checklist. */
  const siblings = (link) => {
    const group = link.closest("article, .checklist");
    const seen = new Set();
    return group ? page.all(".cite", group).filter((other) => {
      const known = seen.has(other.textContent);
      seen.add(other.textContent);
      return !known;
    }).sort((a, b) => a.textContent - b.textContent) : [];
  };
}
