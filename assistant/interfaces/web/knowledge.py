"""What the corpus holds, as HTML: the heat map, its sources, their provisions, and what is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from assistant.interfaces.web.markup import attributes, badge, provision_link, safe_url, text
from assistant.library import LibraryDocument
from assistant.taxonomy import Taxonomy
from assistant.types import Document, Provision

Entries = Iterable[tuple[Provision, Document]]


def overview(
    matrix: Mapping[str, Mapping[str, int]],
    documents: Sequence[Document],
    own: Sequence[LibraryDocument],
    taxonomy: Taxonomy,
) -> str:
    """The matrix of phase and concern, the user's own documents, and the sources by kind."""
    return _heat_map(matrix, taxonomy) + _own(own) + _sources(documents, taxonomy)


def listing(heading: str, entries: Entries, empty: str) -> str:
    """Provisions under a heading, each with its source."""
    items = "".join(
        f"<li>{provision_link(entry, document.source)}</li>" for entry, document in entries
    )
    body = f'<ul class="rows">{items}</ul>' if items else f'<p class="none">{text(empty)}</p>'
    return f'{_BACK}<h2 tabindex="-1">{text(heading)}</h2>{body}'


def source(document: Document) -> str:
    """A source's facts and its provisions."""
    facts = document.source
    url = safe_url(facts.url)
    link = (
        f'<a target="_blank" rel="noopener noreferrer"{attributes(href=url)}>Official text'
        '<span aria-hidden="true"> ↗</span><span class="sr-only"> (opens in a new tab)</span></a>'
        if url
        else ""
    )
    words = " · ".join(
        text(word)
        for word in (
            facts.publisher,
            facts.version,
            facts.published,
            facts.jurisdiction,
            facts.licence,
        )
        if word
    )
    status = (
        "" if facts.status == "current" else f'<p class="note">Status: {text(facts.status)}</p>'
    )
    items = "".join(
        f"<li>{provision_link(entry, facts, shows_source=False)}</li>"
        for entry in document.provisions
    )
    return (
        f'{_BACK}<h2 tabindex="-1">{text(facts.title)}</h2><p class="by">{words}</p>'
        f'<p class="links">{badge(facts.kind, facts.binding)}{link}</p>{status}'
        f'<ul class="rows">{items}</ul>'
    )


def _heat_map(matrix: Mapping[str, Mapping[str, int]], taxonomy: Taxonomy) -> str:
    most = max((count for row in matrix.values() for count in row.values()), default=1) or 1
    heads = "".join(f'<th scope="col">{text(term.title)}</th>' for term in taxonomy.phases.values())
    rows = "".join(
        f'<tr><th scope="row">{text(term.title)}</th>'
        + "".join(
            _cell(taxonomy, phase, term.id, row[term.id], most) for phase, row in matrix.items()
        )
        + "</tr>"
        for term in taxonomy.concerns.values()
    )
    return (
        '<h2 tabindex="-1">Provisions by phase and concern</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Provisions by phase and concern">'
        f'<table class="heat"><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _cell(taxonomy: Taxonomy, phase: str, concern: str, count: int, most: int) -> str:
    """A cell whose tint deepens with the square root of the count."""
    if not count:
        return '<td class="empty">0</td>'
    tint = attributes(style=f"--share: {(count / most) ** 0.5:.2f}")
    named = attributes(
        data_view=_view("cell", phase=phase, concern=concern),
        aria_label=f"{count}: {taxonomy.phases[phase].title}, {taxonomy.concerns[concern].title}",
    )
    return f'<td><button type="button"{tint}{named}>{count}</button></td>'


def _sources(documents: Sequence[Document], taxonomy: Taxonomy) -> str:
    parts = [f"<h2>{len(documents)} sources</h2>"]
    for kind, definition in taxonomy.kinds.items():
        entries = [document for document in documents if document.source.kind == kind]
        if entries:
            items = "".join(f"<li>{_source_row(document)}</li>" for document in entries)
            parts.append(f'<h3>{text(definition)}</h3><ul class="rows">{items}</ul>')
    return "".join(parts)


def _own(documents: Sequence[LibraryDocument]) -> str:
    items = "".join(
        f'<li><button type="button" class="row"{attributes(data_view=_view("source", id=entry.id))}>'
        f'{text(entry.title)}</button><span class="of">{text(entry.collection)} · {entry.passages} '
        f"passages</span>{badge(entry.kind, entry.binding)}</li>"
        for entry in documents
    )
    heading = f"<h2>{len(documents)} documents of your own</h2>"
    return f'{heading}<ul class="rows">{items}</ul>' if items else ""


def _view(name: str, **query: str) -> str:
    return f"read/{name}?{urlencode(query)}"


def _source_row(document: Document) -> str:
    facts = document.source
    view = attributes(data_view=_view("source", id=facts.id))
    return (
        f'<button type="button" class="row"{view}>{text(facts.title)}</button>'
        f'<span class="of">{text(facts.publisher)} · {len(document.provisions)} provisions</span>'
        f"{badge(facts.kind, facts.binding)}"
    )


_BACK = '<p><button type="button" class="back" data-view="read/overview">All knowledge</button></p>'
