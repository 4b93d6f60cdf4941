"""Provision -> HTML: the source beside the conversation, with the quoted span highlighted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from assistant.documents import Link
from assistant.interfaces.render import page
from assistant.interfaces.web.markup import (
    MATCHES,
    attributes,
    badge,
    prose,
    provision_link,
    safe_url,
    text,
)
from assistant.types import Document, Provision


def provision(
    entry: Provision,
    document: Document,
    related: Sequence[tuple[Link, Provision, Document]],
    start: int = 0,
    stop: int = 0,
) -> str:
    """A provision with its source's facts; ``document.text[start:stop]`` is highlighted."""
    source = document.source
    body = "".join(_lines(document.text, entry.segments[0].start, entry.stop, start, stop))
    at = document.page(start if stop else entry.start)
    place = entry.locator + (page(at.number, at.label) if at else "")
    return (
        f'<p class="kicker">{text(place)}</p><h2 tabindex="-1">{text(entry.title)}</h2>'
        f'<p class="by">{text(source.publisher)} · {text(source.title)}</p>'
        f"{badge(source.kind, source.binding)}"
        f'<div class="provision">{body}</div>'
        f"{_links(entry, document)}{_facts(entry, document)}{_crosswalk(related)}"
    )


def reference(entry: Provision, document: Document) -> str:
    """The provision as a reference in one line of text, to be copied."""
    source = document.source
    parts = (source.publisher, f"{source.title} {source.version}".strip(), entry.locator)
    return f"{', '.join(parts)} ({source.published}). {entry.url}"


def _lines(whole: str, begin: int, end: int, start: int, stop: int) -> Iterator[str]:
    """Each line as a paragraph, with what lies in start..stop marked; offsets are the document's."""
    place = begin
    for line in whole[begin:end].splitlines(keepends=True):
        words = line.strip()
        if words:
            at = place + line.index(words)
            item = words.startswith("- ")
            low, high = at + 2 * item, at + len(words)
            first, last = max(low, min(start, high)), max(low, min(stop, high))
            marked = f"<mark>{prose(whole[first:last])}</mark>" if first < last else ""
            inside = prose(whole[low:first]) + marked + prose(whole[max(first, last) : high])
            kind = "item" if item else "label" if words in ("Do:",) else "line"
            yield f'<p class="{kind}">{inside}</p>'
        place += len(line)


def _facts(entry: Provision, document: Document) -> str:
    source = document.source
    facts = {
        "Version": source.version,
        "Published": source.published,
        "Jurisdiction": source.jurisdiction,
        "In force from": entry.in_force_from,
        "Status": "" if entry.status == "current" else entry.status,
        "Compared": source.compared,
        "Licence": source.licence,
    }
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>"
        for name, value in facts.items()
        if value
    )
    return f'<dl class="facts">{rows}</dl>'


def _links(entry: Provision, document: Document) -> str:
    url = safe_url(entry.url)
    official = (
        f'<a class="official" target="_blank" rel="noopener noreferrer"{attributes(href=url)}>'
        'Official text<span aria-hidden="true"> ↗</span>'
        '<span class="sr-only"> (opens in a new tab)</span></a>'
        if url
        else ""
    )
    copied = attributes(data_copy=reference(entry, document))
    return f'<p class="links">{official}<button type="button"{copied}>Copy citation</button></p>'


def _crosswalk(related: Iterable[tuple[Link, Provision, Document]]) -> str:
    items = "".join(
        f'<li>{provision_link(entry, document.source)}<span class="match">{MATCHES[link.match]}</span></li>'
        for link, entry, document in related
    )
    return f'<h3>In other sources</h3><ul class="rows">{items}</ul>' if items else ""
