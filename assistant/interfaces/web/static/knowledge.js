/* The corpus to walk through: heat map, sources, provisions, search. */
page.view = async (address) => {
  const place = page.one("#knowledge-view");
  const first = !place.firstChild;
  await page.fill(place, address);
  if (!first) page.one("h2", place)?.focus();
};

page.search = (words) => page.view(words.trim() ? `read/search?${new URLSearchParams({ q: words })}` : "read/overview");
