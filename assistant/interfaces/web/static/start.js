/* Clicks, keys, the theme, and how far the index is; started by Gradio when the page has loaded. */
{
  const clicks = {
    "[data-do]": (it) => page.doing[it.dataset.do]?.(it),
    "[data-open]": (it) => page.open(it.dataset.open, it.dataset.start, it.dataset.stop, it),
    "[data-ask]": (it) => page.askExample(it.dataset.ask),
    "[data-phase]:is(button)": (it) => page.askAs(it.dataset.phase, it),
    "[data-view]": (it) => page.view(it.dataset.view),
    "[data-checklist]": (it) => page.chooseChecklist(it.dataset.checklist),
    "[data-remove]": (it) => page.removeDocuments(it.dataset.remove, it.dataset.named),
    "[data-release]": (it) => page.releasePassage(it.dataset.release),
    "[data-copy]": (it) => page.copy(it.dataset.copy, it),
    "[data-export]": (it) => page.export(it.dataset.export),
  };

  const click = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    for (const [selector, act] of Object.entries(clicks)) {
      const it = event.target.closest?.(selector);
      if (!it || it.disabled) continue;
      if (it.matches("a")) event.preventDefault();
      act(it);
      return;
    }
  };

  const keys = {
    "/": () => page.focusQuestion(),
    "?": () => page.doing.help(),
    c: () => page.copyLast(),
    d: () => page.doing.theme(),
    n: () => page.one("#source [data-do=next]:not([hidden], :disabled)")?.click(),
    p: () => page.one("#source [data-do=previous]:not([hidden], :disabled)")?.click(),
  };

  const key = (event) => {
    if (event.key === "Escape") {
      if (!page.one("#quote").hidden) page.hideQuote();
      else if (page.isSourceOpen() && !page.one("dialog[open]")) page.doing.close();
      return;
    }
    const writing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select");
    if (writing || event.ctrlKey || event.metaKey || event.altKey || !page.one("#single-keys").checked) return;
    const act = keys[event.key] ?? (/^[1-9]$/.test(event.key) && (() => page.citation(event.key)?.click()));
    if (!act) return;
    event.preventDefault();
    act();
  };

  const isDark = () => document.body.classList.contains("dark");
  const theme = (dark) => {
    document.body.classList.toggle("dark", dark);
    page.one("[data-do=theme]").textContent = dark ? "Light" : "Dark";
  };
  page.doing.theme = () => {
    theme(!isDark());
    localStorage.setItem("safety-assistant/theme", isDark() ? "dark" : "light");
  };
  page.doing.help = () => page.one("#help").showModal();

  const opened = (collections) => {
    page.showCollections(collections);
    const early = page.all(":is(#knowledge-view, #documents-view) > .refused");
    early.forEach((refusal) => refusal.remove());
    if (early.length) page.enter();
  };

  /* Look how far the index is until it is ready or cannot be. */
  const opening = async () => {
    const { ready, failed, words, done, total, collections } = JSON.parse(await page.read("read/status"));
    const banner = page.one("#opening");
    banner.hidden = ready;
    if (ready) return opened(collections);
    const bar = page.one("progress", banner);
    bar.hidden = failed;
    if (total) Object.assign(bar, { max: total, value: done });
    page.one("p", banner).textContent = words;
    setTimeout(opening, failed ? 5000 : 500);
  };

  const examples = () => {
    const phase = page.one("#phase input:checked")?.value ?? "";
    page.all("[data-examples]").forEach((group) => { group.hidden = group.dataset.examples !== phase; });
  };

  /* What Gradio's controls lack: radios that are one group, accordions that say if they are open. */
  const mend = () => {
    page.all(".strip").forEach((strip) => {
      strip.setAttribute("aria-label", page.one("[data-testid=block-info]", strip).textContent.trim());
      page.all("input", strip).forEach((input) => { input.name = strip.id; });
    });
    page.all("button.label-wrap").forEach((button) => {
      const tell = () => button.setAttribute("aria-expanded", String(button.nextElementSibling.style.display !== "none"));
      tell();
      new MutationObserver(tell).observe(button.nextElementSibling, { attributes: true });
    });
  };

  /* Called by Gradio when a tab is chosen, the first time before what is in it is there. */
  page.enter = async () => {
    const tab = "[role=tabpanel]:not([style*='display: none'])";
    await page.appeared(() => page.one(`${tab} :is(#checklist-view, #knowledge-view, #documents-view)`));
    mend();
    const knowledge = page.one("#knowledge-view");
    if (knowledge && !knowledge.firstChild) page.view("read/overview");
    if (page.one(`${tab} #documents-view`)) page.enterDocuments();
  };

  page.start = () => {
    mend();
    const chosen = localStorage.getItem("safety-assistant/theme");
    theme(chosen ? chosen === "dark" : isDark());
    document.body.append(page.one("#help"), page.one("#confirm"));
    page.startQuotes();
    document.addEventListener("click", click);
    document.addEventListener("keydown", key);
    document.addEventListener("input", (event) => {
      const item = event.target.closest("#checklist-view li[data-key]");
      if (item) page.keepChecklist(item);
      if (event.target.closest("#phase")) examples();
    });
    const single = page.one("#single-keys");
    single.checked = localStorage.getItem("safety-assistant/single-keys") !== "off";
    single.addEventListener("change", () => localStorage.setItem("safety-assistant/single-keys", single.checked ? "on" : "off"));
    page.noteRefusals();
    opening();
    page.fromAddress();
    page.started = true;
  };
}
