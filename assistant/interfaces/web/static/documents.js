/* Own documents: files chosen or dropped, sent one by one with their progress, listed, removed, released. */
{
  let chosen = [];
  let changing = false;
  const NOTHING = "Nothing was changed.";
  const form = () => page.one("#add-documents");
  const view = () => page.one("#documents-view");

  page.enterDocuments = () => {
    if (form() && !form().onsubmit) startForm();
    return list();
  };

  const list = async () => {
    await page.fill(view(), "documents");
    const known = page.one("#collections-known");
    const names = page.all("[data-collection]", view()).map((section) => section.dataset.collection);
    known?.replaceChildren(...names.map((value) => page.element("option", { value })));
  };

  const startForm = () => {
    const drop = page.one("#drop");
    const input = page.one("#files");
    form().onsubmit = (event) => { event.preventDefault(); if (!changing) add(); };
    input.onchange = () => { choose([...input.files]); input.value = ""; };
    drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
    drop.ondragleave = () => drop.classList.remove("over");
    drop.ondrop = (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      const entries = [...event.dataTransfer.items].filter((item) => item.kind === "file");
      const folders = entries.filter((item) => item.webkitGetAsEntry()?.isDirectory).map((item) => item.getAsFile().name);
      choose([...event.dataTransfer.files].filter((file) => !folders.includes(file.name)));
      if (folders.length) refuse(`${folders.join(", ")}: a folder cannot be sent. Drop the files in it.`);
    };
  };

  const choose = (files) => {
    chosen.push(...files);
    showChosen();
  };

  const showChosen = () => page.one("#chosen").replaceChildren(...chosen.map((file) => {
    const drop = page.element("button", { type: "button", textContent: "Leave out", disabled: changing });
    drop.setAttribute("aria-label", `Leave out ${file.name}`);
    drop.onclick = () => { chosen = chosen.filter((other) => other !== file); showChosen(); page.one("#files").focus(); };
    return page.element("li", {}, page.element("span", { textContent: file.name }), page.element("small", { textContent: size(file.size) }), drop);
  }));

  const size = (bytes) => bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;

  /* One file after another. What is refused stays chosen, with the reason; what is refused again for the same
     reason, such as the name of the collection, ends it. */
  const add = async () => {
    if (!chosen.length) return refuse("No file is chosen. Choose some, or drop them here.");
    const given = new URLSearchParams([...new FormData(form())].filter(([, value]) => typeof value === "string"));
    const total = chosen.reduce((sum, file) => sum + file.size, 0);
    const count = chosen.length;
    const reasons = new Set();
    let sent = 0;
    await change(async (tell, report) => {
      for (const [place, file] of [...chosen].entries()) {
        const named = `${file.name} (${place + 1} of ${count})`;
        const reply = file.size > Number(form().dataset.most) ? tooLarge(file)
          : await send(`documents/add?${new URLSearchParams([["name", file.name], ...given])}`, file,
            (doing, share) => tell(`${doing}: ${named}`, (sent + file.size * share) / total));
        sent += file.size;
        if (reasons.has(reply.refused)) return;
        report(reply);
        if (reply.refused) reasons.add(reply.refused);
        else chosen.splice(chosen.indexOf(file), 1);
        showChosen();
      }
    });
  };

  const tooLarge = (file) => {
    const most = Number(form().dataset.most) / 2 ** 20;
    const words = page.element("span", { textContent: `${file.name} is larger than ${most} MiB. Split it into smaller files and add those.` });
    const line = page.element("li", {}, page.element("strong", { textContent: "failed" }), " ", words);
    line.dataset.state = "failed";
    return { html: line.outerHTML, states: ["failed"] };
  };

  page.doing["refresh-documents"] = () => once("documents/refresh");
  page.releasePassage = (query) => once(`documents/release?${query}`);
  page.removeDocuments = async (query, named) => {
    const dialog = page.one("#confirm");
    page.one("h2", dialog).textContent = `Remove ${named}?`;
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
    if (dialog.returnValue === "yes") await once(`documents/remove?${query}`);
  };

  const once = (address) => change(async (tell, report) => report(await send(address, null, tell)));

  /* Make a change, show how far it is and what came of it, then list again what there is. */
  const change = async (make) => {
    if (changing) return say("Another change is under way. Wait for its end.");
    changing = true;
    const states = [];
    const begun = performance.now();
    const seconds = () => (performance.now() - begun) / 1000;
    if (form()) showChosen();
    clear();
    const report = ({ html, states: ended, refused }) => {
      if (refused) return say(refused);
      append(...page.element("template", { innerHTML: html }).content.childNodes);
      states.push(...ended);
    };
    await make((words, share) => tell(words, share, seconds()), report);
    changing = false;
    page.one("#adding").hidden = true;
    if (form()) showChosen();
    const counts = [...new Set(states)].map((state) => `${states.filter((other) => other === state).length} ${state}`);
    const sums = `${counts.join(", ")}; ${seconds().toFixed(1)} s`;
    await list();
    page.one("#knowledge-view")?.replaceChildren(); // it lists them too, and is written anew
    await page.renewCollections();
    if (document.activeElement === document.body) page.one("h2", view())?.focus();
    conclude(counts.length ? sums : NOTHING);
  };

  const refuse = (words) => {
    clear();
    say(words);
    conclude(NOTHING);
  };

  const conclude = (words) => {
    page.one("#report p").textContent = words;
    page.say(words);
  };

  const tell = (words, share, seconds) => {
    const known = share > 0 && share < 1;
    const left = known ? (seconds / share) * (1 - share) : 0;
    page.one("#adding").hidden = false;
    page.one("#adding p").textContent = words + (known ? ` · about ${left < 90 ? `${Math.ceil(left)} s` : `${Math.round(left / 60)} min`} left` : "");
    const bar = page.one("#adding progress");
    if (known) bar.value = share;
    else bar.removeAttribute("value");
  };

  /* The report grows line by line: what has been read out is not read out again. */
  const clear = () => {
    page.one("#report").hidden = true;
    page.one("#report ul").replaceChildren();
    page.one("#report p").textContent = "";
  };
  const append = (...lines) => {
    page.one("#report").hidden = false;
    page.one("#report ul").append(...lines);
  };
  const say = (words) => append(page.element("li", { className: "refused", textContent: words }));

  /* Send a change; `tell` is called with words and the share that is done. */
  const send = (address, body, tell) => new Promise((done) => {
    const request = new XMLHttpRequest();
    const last = () => JSON.parse(request.responseText.trimEnd().split("\n").at(-1) || "{}");
    request.upload.onprogress = ({ loaded, total }) => { if (loaded < total) tell(`Sending ${Math.floor((100 * loaded) / total)} %`, 0); };
    request.onprogress = () => {
      if (!request.responseText.endsWith("\n")) return;
      const { doing, done: sofar, total } = last();
      if (doing) tell(doing, total ? sofar / total : 0);
    };
    const silent = { refused: "The page's server does not answer. Look whether it still runs." };
    const ended = () => { const reply = last(); return reply.html === undefined && !reply.refused ? silent : reply; };
    request.onload = () => done(request.status === 200 ? ended() : { refused: page.sentence(request.responseText, request.status) });
    request.onerror = () => done(silent);
    request.open("PUT", address);
    request.send(body);
  });
}
