"use strict";
/* What every other file uses; `page` is the one global name. All HTML that is inserted comes from this
   page's own server, which has escaped it; anything else is set as text. */
const page = { doing: {} };

page.one = (selector, root = document) => root.querySelector(selector);
page.all = (selector, root = document) => [...root.querySelectorAll(selector)];

page.element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

/* The text behind an address of this server; what the server refuses is thrown with its sentence. */
page.read = async (address) => {
  const response = await fetch(address);
  const body = await response.text();
  if (!response.ok) throw new Error(page.sentence(body, response.status));
  return body;
};

/* What a refusal says: the guard and Gradio answer in JSON, the rest of the server in text. */
page.sentence = (body, status) => {
  try {
    const { error, detail } = JSON.parse(body);
    return error ?? detail;
  } catch {
    return body.slice(0, 500) || `The server says ${status}.`;
  }
};

/* Gradio says of a question that was refused only that it failed, and of a server that is gone nothing:
   keep the server's own words, and tell of its silence. The stream that answers come by it never asks
   for again, so where the limit of requests refuses that, wait as long as the server says, a second if
   it (or a proxy before it) does not say. */
page.noteRefusals = () => {
  const ask = window.fetch;
  window.fetch = async (...request) => {
    const response = await ask(...request).catch((error) => {
      if (error instanceof TypeError) page.failed();
      throw error;
    });
    if (response.status === 429 && /\/queue\/data\b/.test(request[0]?.url ?? request[0])) {
      const seconds = Number(response.headers.get("retry-after")) || 1;
      await new Promise((ready) => setTimeout(ready, 1000 * seconds));
      return window.fetch(...request);
    }
    if (!response.ok) page.refusal = page.sentence(await response.clone().text(), response.status);
    return response;
  };
};

/* Fill an element with HTML from this server, or with the reason why there is none. */
page.fill = async (element, address) => {
  element.setAttribute("aria-busy", "true");
  try {
    element.innerHTML = await page.read(address);
    return true;
  } catch (error) {
    const message = error instanceof TypeError ? "The page's server does not answer." : error.message;
    element.replaceChildren(page.element("p", { className: "refused", textContent: message }));
    return false;
  } finally {
    element.removeAttribute("aria-busy");
  }
};

/* Make `old` look like `fresh`, keeping every node that is the same: nothing flickers or loses focus. */
page.patch = (old, fresh) => {
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, place) => {
    const there = old.childNodes[place];
    if (!there) old.append(node);
    else if (there.isEqualNode(node)) return;
    else if (there.nodeType === 1 && there.nodeName === node.nodeName && there.className === node.className)
      page.patch(there, node);
    else there.replaceWith(node);
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
};

/* When `look` finds something: looked for once a frame. */
page.appeared = async (look) => {
  while (!look()) await new Promise(requestAnimationFrame);
};

page.say = (words) => { page.one("#spoken").textContent = words; };

page.copy = async (words, button) => {
  if (navigator.clipboard) await navigator.clipboard.writeText(words);
  else {
    const box = page.element("textarea", { value: words });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  page.say("Copied");
  if (!button) return;
  const label = button.textContent;
  if (label === "Copied") return;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
};

page.download = (name, type, content) => {
  const address = URL.createObjectURL(new Blob([content], { type }));
  page.element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};

/* What Gradio's events fetch after the script has pressed one of its hidden buttons. */
page.hand = (button, value) => {
  page.handed = value;
  document.getElementById(button).click();
};
page.taken = () => page.handed;

page.corpus = () => page.one("#top").dataset.corpus;
