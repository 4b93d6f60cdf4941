/* Which collections a question leaves out: chosen here, or named by a link. */
{
  let known = [];
  const without = new Set();

  page.leftOut = () => [...without];

  page.leaveOut = (names) => {
    without.clear();
    names.forEach((name) => without.add(name));
    show();
  };

  page.showCollections = (names) => {
    known = names;
    show();
  };

  /* After documents came or went: what is no longer there cannot be left out. */
  page.renewCollections = async () => {
    page.showCollections(JSON.parse(await page.read("read/status")).collections);
    page.leaveOut(known.filter((name) => without.has(name)));
  };

  const show = () => {
    const place = page.one("#collections");
    const names = [...new Set([...known, ...without])];
    const boxes = names.map((name) => {
      const box = page.element("input", { type: "checkbox", checked: !without.has(name) });
      box.onchange = () => { if (box.checked) without.delete(name); else without.add(name); };
      return page.element("label", {}, box, ` ${name}`);
    });
    place.replaceChildren(place.firstElementChild, ...boxes);
    place.hidden = names.length < 2;
  };
}
