/* The turns of the conversation, and what is taken away from it. */
{
  const turns = new Map();
  let count = 0;

  const last = () => [...turns.values()].at(-1);
  const of = (element) => turns.get(element.closest("article")?.dataset.turn) ?? last();

  /* Called by Gradio with the inputs of a question before it is sent: opens its turn. */
  page.begin = (asked, phase, kinds, jurisdictions, sources, without, linked, turn, history) => {
    const question = asked.trim();
    without = page.leftOut();
    turn = "";
    if (question) {
      turn = `${++count} ${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
      const body = page.element("div", { className: "body" });
      body.append(page.element("p", { className: "waiting", textContent: "Reading the sources …" }));
      const heading = page.element("h2", { textContent: question });
      const element = page.element("article", {}, heading, body);
      element.dataset.turn = turn;
      element.setAttribute("aria-busy", "true");
      if (page.one("#top").dataset.writes) {
        const stop = page.element("button", { type: "button", className: "stop", textContent: "Stop" });
        stop.dataset.do = "stop";
        element.append(stop);
      }
      const request = { question, phase, kinds: kinds ?? [], jurisdictions: jurisdictions ?? [], sources: sources ?? [], without };
      turns.set(turn, { request, element, body, piece: {} });
      page.one("#welcome").hidden = true;
      page.one("#exports").hidden = false;
      page.one("#turns").append(element);
      element.scrollIntoView({ block: "start" });
    }
    return [asked, phase, kinds, jurisdictions, sources, without.join(" "), linked, turn, history];
  };

  /* Called by Gradio with each piece of an answer, as JSON. */
  page.show = (json) => {
    const piece = JSON.parse(json);
    const turn = turns.get(piece.turn);
    if (!turn) return;
    turn.piece = piece;
    const fresh = page.element("template", { innerHTML: piece.html }).content;
    page.patch(turn.body, fresh);
    turn.element.dataset.state = piece.state;
    if (!piece.spoken) return;
    ended(turn.element);
    page.say(piece.spoken);
  };

  const ended = (element) => {
    element.removeAttribute("aria-busy");
    page.one(".stop", element)?.remove();
  };

  /* End what a language model writes; what has passed stays, and the sources' sentences follow. */
  page.doing.stop = (button) => {
    button.disabled = true;
    fetch("stop", { method: "POST", body: button.closest("article").dataset.turn });
  };
  addEventListener("pagehide", () => {
    for (const [turn, { element }] of turns) if (page.one(".stop", element)) navigator.sendBeacon("stop", turn);
  });

  /* Called by Gradio when a question did not reach an answer. */
  page.failed = () => {
    const words = page.refusal ?? "The page's server does not answer. Look whether it still runs.";
    page.refusal = undefined;
    for (const { element, body } of turns.values()) {
      if (!element.hasAttribute("aria-busy")) continue;
      ended(element);
      element.dataset.state = "refused";
      body.replaceChildren(page.element("p", { className: "refused", textContent: words }));
      page.say(words);
    }
  };

  /* Ask without the question box: examples, topics, another phase, a permalink. */
  page.ask = (request) => page.hand("again", request);
  page.take = () => {
    const { question, corpus = "", phase = "", kinds = [], jurisdictions = [], sources = [], without = [] } = page.taken();
    page.leaveOut(without);
    return [question, corpus, phase, kinds, jurisdictions, sources];
  };

  page.askExample = (question) => {
    const phase = page.one("#phase input:checked")?.value ?? "";
    page.ask({ ...(last()?.request ?? {}), phase, question, without: page.leftOut() });
  };
  page.askAs = (phase, element) => page.ask({ ...alone(of(element)), phase });

  /* A request that has the same answer without what was asked before it. */
  const alone = ({ request, piece: { answer } }) => answer && answer.read_as !== answer.question
    ? { ...request, question: answer.read_as, phase: answer.phases[0] ?? "" } : request;

  const fields = { phase: "phase", kind: "kinds", jurisdiction: "jurisdictions", source: "sources", without: "without" };

  page.permalink = (turn) => {
    const { piece } = turn;
    const request = alone(turn);
    const query = new URLSearchParams({ q: request.question });
    for (const [name, field] of Object.entries(fields))
      for (const value of [request[field]].flat()) if (value) query.append(name, value);
    query.set("corpus", piece.answer?.corpus_version ?? page.corpus());
    return `${location.origin}${location.pathname}?${query}`;
  };

  page.fromAddress = () => {
    const query = new URLSearchParams(location.search);
    if (query.get("q")) {
      page.ask({
        question: query.get("q"), corpus: query.get("corpus") ?? "", phase: query.get("phase") ?? "",
        kinds: query.getAll("kind"), jurisdictions: query.getAll("jurisdiction"), sources: query.getAll("source"),
        without: query.getAll("without"),
      });
    } else if (query.get("open")) page.open(query.get("open"), query.get("start"), query.get("stop"));
  };

  page.doing.copy = (button) => page.copy(of(button).piece.markdown, button);
  page.doing.link = (button) => page.copy(page.permalink(of(button)), button);
  page.doing.edit = (button) => {
    page.hand("edit", of(button).request.question);
    page.focusQuestion();
  };
  page.doing.clear = () => {
    turns.clear();
    count = 0;
    page.one("#turns").replaceChildren();
    page.one("#welcome").hidden = false;
    page.one("#exports").hidden = true;
    page.focusQuestion();
  };
  page.copyLast = () => { if (last()?.piece.markdown) page.copy(last().piece.markdown); };
  page.citation = (number) => page.all(".cite", last()?.element).find((link) => link.textContent === number);
  page.focusQuestion = () => page.one("#question textarea, #question input").focus();

  /* Whether an answer helped: sent with what it cites, when the reader says so. */
  const judge = (button) => {
    const { body } = of(button);
    page.all("[data-do=up], [data-do=down]", body).forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    page.one("form.feedback", body)?.remove();
    const comment = page.element("textarea", { rows: 2, maxLength: 2000 });
    const label = page.element("label", {}, button.dataset.do === "up" ? "What helped? (may stay empty)" : "What was wrong or missing? (may stay empty)", comment);
    const note = page.element("small", { textContent: "Kept on the machine that serves this page, nowhere else." });
    const form = page.element("form", { className: "feedback" }, label, page.element("button", { textContent: "Send" }), note);
    form.onsubmit = (event) => { event.preventDefault(); send(button, comment.value, form); };
    page.one(".actions", body).after(form);
    comment.focus();
  };
  page.doing.up = judge;
  page.doing.down = judge;

  const send = async (button, comment, form) => {
    const { piece: { answer } } = of(button);
    const names = (numbers) => answer.citations.filter((c) => numbers.includes(c.number)).map((c) => `${c.source_id}#${c.locator}`);
    const best = [...new Set(names(answer.statements[0]?.citations ?? []))];
    const others = [...new Set(names(answer.citations.map((c) => c.number)))].filter((name) => !best.includes(name));
    const given = {
      verdict: button.dataset.do, comment, question: answer.read_as, phase: answer.phases[0] ?? null,
      outcome: answer.outcome, best, others, corpus_version: answer.corpus_version,
    };
    const response = await fetch("feedback", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(given),
    });
    const words = response.ok ? "Thank you; it is kept." : await response.text();
    form.replaceChildren(page.element("p", { textContent: words, role: "status" }));
  };

  /* The conversation as a file. */
  page.export = (kind) => {
    const done = [...turns.values()].filter((turn) => turn.piece.answer);
    const name = `safety-conversation.${kind}`;
    if (kind === "md") page.download(name, "text/markdown", done.map((turn) => turn.piece.markdown).join("\n"));
    if (kind === "json") {
      const content = { corpus_version: page.corpus(), turns: done.map(({ request, piece }) => ({ request, answer: piece.answer })) };
      page.download(name, "application/json", JSON.stringify(content, null, 2));
    }
    if (kind === "html") page.download(name, "text/html", standalone(done));
  };

  const standalone = (done) => {
    const whole = document.implementation.createHTMLDocument("Safety guideline assistant: a conversation");
    whole.documentElement.lang = "en";
    whole.head.prepend(Object.assign(whole.createElement("meta"), { httpEquiv: "Content-Security-Policy", content: "default-src 'none'; style-src 'unsafe-inline'" }));
    whole.head.prepend(whole.createElement("meta"));
    whole.head.firstChild.setAttribute("charset", "utf-8");
    whole.head.append(Object.assign(whole.createElement("style"), {
      textContent: "body{font:16px/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}svg{width:.8em;margin-right:.3em}.cite::before{content:'['}.cite::after{content:'] '}.badge{font-size:.85em;margin-left:.5em}",
    }));
    for (const { element, piece } of done) {
      const copy = whole.importNode(element, true);
      page.all(".actions, .feedback, .read-as", copy).forEach((part) => part.remove());
      const urls = new Map(piece.answer.citations.map((c) => [`${c.source_id}#${c.locator}`, c.url]));
      page.all("button", copy).forEach((button) => button.replaceWith(button.textContent));
      page.all("[data-open]", copy).forEach((link) => {
        const url = urls.get(link.dataset.open) ?? "";
        const kept = whole.createElement(/^https?:\/\//.test(url) ? "a" : "span");
        if (kept.nodeName === "A") Object.assign(kept, { href: url, rel: "noopener noreferrer" });
        kept.className = link.className;
        kept.title = link.dataset.quote ?? "";
        kept.append(...link.childNodes);
        link.replaceWith(kept);
      });
      whole.body.append(copy);
    }
    whole.body.append(Object.assign(whole.createElement("p"), { textContent: `Corpus ${page.corpus()}` }));
    return `<!doctype html>\n${whole.documentElement.outerHTML}\n`;
  };
}
