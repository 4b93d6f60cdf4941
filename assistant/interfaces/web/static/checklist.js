/* What applies in a phase: ticks and notes are kept in this browser, by corpus version and phase. */
{
  const key = (phase) => `safety-assistant/checklist/${page.corpus()}/${phase}`;
  const load = (phase) => JSON.parse(localStorage.getItem(key(phase)) ?? "{}");
  const list = () => page.one("#checklist-view .checklist");

  page.checklist = async (phase, concerns, kinds, jurisdictions, most) => {
    if (!phase) return;
    const query = new URLSearchParams({ phase, per_concern: most });
    for (const [name, values] of Object.entries({ concern: concerns, kind: kinds, jurisdiction: jurisdictions }))
      for (const value of values ?? []) query.append(name, value);
    if (await page.fill(page.one("#checklist-view"), `read/checklist?${query}`)) restore();
  };

  page.chooseChecklist = (phase) => page.hand("choose-phase", phase);

  const restore = () => {
    const kept = load(list().dataset.phase);
    page.all("li[data-key]", list()).forEach((item) => {
      const { done = false, note = "" } = kept[item.dataset.key] ?? {};
      page.one("input", item).checked = done;
      page.one("textarea", item).value = note;
      page.one("details", item).open = Boolean(note);
    });
    page.all("[data-checklist]", list()).forEach((button) => {
      const ticked = Object.values(load(button.dataset.checklist)).filter((entry) => entry.done).length;
      page.one("span", button).textContent = ticked ? ` · ${ticked} done` : "";
    });
    count();
  };

  page.keepChecklist = (item) => {
    const phase = list().dataset.phase;
    const kept = load(phase);
    const entry = { done: page.one("input", item).checked, note: page.one("textarea", item).value };
    if (entry.done || entry.note) kept[item.dataset.key] = entry;
    else delete kept[item.dataset.key];
    localStorage.setItem(key(phase), JSON.stringify(kept));
    count();
  };

  const count = () => {
    const boxes = page.all("li[data-key] input", list());
    page.one(".progress", list()).textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length} done`;
  };

  page.doing["export-checklist"] = () => {
    const lines = [`# Checklist: ${list().dataset.title}`, ""];
    for (const section of page.all("section", list())) {
      lines.push(`## ${page.one("h3", section).textContent}`, "");
      for (const item of page.all("li[data-key]", section)) {
        lines.push(`- [${page.one("input", item).checked ? "x" : " "}] ${item.dataset.markdown}`);
        const note = page.one("textarea", item).value.trim();
        if (note) lines.push(...note.split("\n").map((line) => `  > ${line}`));
      }
      lines.push("");
    }
    lines.push("## Sources", "", ...list().dataset.references.split("\n").map((line) => `- ${line}`), "", `Corpus ${list().dataset.corpus}`, "");
    page.download(`checklist-${list().dataset.phase}.md`, "text/markdown", lines.join("\n"));
  };
}
