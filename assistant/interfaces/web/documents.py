"""The user's own documents as HTML: the form that adds them, the list, what is held back, reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import urlencode

from assistant.documents.reading import Limits
from assistant.interfaces.web.markup import attributes, badge, text
from assistant.library import Held, LibraryDocument, Report
from assistant.taxonomy import BINDINGS, Taxonomy

MOST_BYTES = Limits().input_bytes
"""Size of the largest file that is read."""
NOT_HERE = (
    "This page serves several people, so documents are not added or removed on it. Whoever runs it "
    "can do so with `safety-assistant add`, or start it with --documents."
)
_TYPES = ".pdf,.docx,.html,.htm,.md,.markdown,.txt,.csv,.tsv,.json,.jsonl"


def form(taxonomy: Taxonomy) -> str:
    """Where files are chosen or dropped, what they count as, and how far adding them is."""
    kinds = _options(
        {"": "as the file says, else policy", "policy": "policy"} | _same(taxonomy.kinds)
    )
    bindings = _options({"": "as its kind has"} | _same(("internal", *BINDINGS)))
    phases = "".join(
        f'<label><input type="checkbox" name="phase"{attributes(value=term.id)}> {text(term.title)}'
        "</label>"
        for term in taxonomy.phases.values()
    )
    return f"""<form id="add-documents" class="documents reading" novalidate{attributes(data_most=MOST_BYTES)}>
<h2>Add documents</h2>
<p class="by">PDF, Word, HTML, Markdown, text, CSV and JSON. They are searched together with the shipped
corpus and stay on the machine that serves this page. Whoever may open it sees them and may remove them.</p>
<div id="drop"><label for="files">Choose files, or drop them here</label>
<input type="file" id="files" multiple{attributes(accept=_TYPES)}><ul id="chosen"></ul></div>
<label>Collection <input name="collection" value="documents" list="collections-known" autocomplete="off"
aria-describedby="collection-help"></label><datalist id="collections-known"></datalist>
<small id="collection-help">Lower-case letters, digits and hyphens. A question can leave a collection out. A
file of a name that a collection has already replaces that one.</small>
<details><summary>What they count as</summary>
<label>Kind <select name="kind">{kinds}</select></label>
<label>Binding <select name="binding">{bindings}</select></label>
<label>Jurisdiction <input name="jurisdiction" placeholder="own organisation" autocomplete="off"></label>
<fieldset><legend>Lifecycle phases</legend>{phases}</fieldset></details>
<p><button class="primary">Add</button></p></form>"""


def closed() -> str:
    """What stands in place of the form where documents are not added."""
    return f'<p class="note">{text(NOT_HERE)}</p>'


def listing(documents: Sequence[LibraryDocument], held: Sequence[Held], changes: bool) -> str:
    """The documents by collection, and below them what is held back; changes: with what changes them."""
    return (
        f'<h2 tabindex="-1">{_count(len(documents), "document")} of your own</h2>'
        f"{_BAR if changes and documents else ''}"
        + "".join(
            _collection(name, list(entries), changes)
            for name, entries in groupby(documents, key=lambda entry: entry.collection)
        )
        + (_quarantine(held, changes) if held else "")
    )


def report(found: Report) -> str:
    """A line for each file: what became of it, and of one that failed what to do."""
    lines = []
    for outcome in found.outcomes:
        if outcome.state == "failed":
            # Where an upload is kept says nothing to who sent it.
            words = outcome.detail.replace(str(outcome.path), outcome.path.name)
            lines.append(line("failed", words))
            continue
        details = [outcome.document, outcome.detail]
        details += [_count(outcome.passages, "passage")] if outcome.passages else []
        details += [f"{outcome.held} in quarantine"] if outcome.held else []
        lines.append(line(outcome.state, outcome.path.name, ", ".join(filter(None, details))))
    return "".join(lines)


def line(state: str, words: str, details: str = "") -> str:
    """A line of a report."""
    return (
        f"<li{attributes(data_state=state)}><strong>{text(state)}</strong> <span>{text(words)}</span>"
        f' <span class="of">{text(details)}</span></li>'
    )


def _collection(name: str, documents: Sequence[LibraryDocument], changes: bool) -> str:
    whole = attributes(
        data_remove=urlencode({"collection": name}), data_named=f"the collection {name}"
    )
    button = f'<button type="button"{whole}>Remove collection {text(name)}</button>'
    rows = "".join(f"<li>{_row(entry, changes)}</li>" for entry in documents)
    return (
        f'<section{attributes(data_collection=name)}><h3>{text(name)}</h3><ul class="rows">{rows}</ul>'
        f"{button if changes else ''}</section>"
    )


def _row(entry: LibraryDocument, changes: bool) -> str:
    pages = [_count(entry.pages, "page")] if entry.pages else []
    facts = [*pages, _count(entry.passages, "passage"), entry.kind, entry.jurisdiction]
    facts += [
        *entry.phases,
        f"added {entry.added[:10]}",
        *(Path(path).name for path in entry.paths),
    ]
    held = f'<span class="held">{entry.held} in quarantine</span>' if entry.held else ""
    removes = attributes(
        data_remove=urlencode({"name": entry.id}),
        data_named=entry.title,
        aria_label=f"Remove {entry.title}",
    )
    return (
        f'<span class="row">{text(entry.title)}</span><span class="of">{text(entry.id)} · '
        f"{text(' · '.join(facts))}</span>{held}{badge(entry.kind, entry.binding)}"
        + (f'<button type="button"{removes}>Remove</button>' if changes else "")
    )


def _quarantine(held: Sequence[Held], changes: bool) -> str:
    items = "".join(
        f'<li><span class="row">{text(entry.id)}</span><span class="of">{text(entry.reason)}</span>'
        f"<blockquote>{text(entry.text)}</blockquote>"
        + (
            f'<button type="button"{attributes(data_release=urlencode({"name": entry.id}))}>Release {text(entry.id)}</button>'
            if changes
            else ""
        )
        + "</li>"
        for entry in held
    )
    return (
        f"<h2>{_count(len(held), 'passage')} in quarantine</h2>"
        '<p class="by">Kept, and not retrieved until someone who has read it releases it.</p>'
        f'<ul class="rows">{items}</ul>'
    )


def _same(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}


def _options(values: dict[str, str]) -> str:
    return "".join(
        f"<option{attributes(value=value)}>{text(words)}</option>"
        for value, words in values.items()
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_BAR = """<p class="bar"><button type="button" data-do="refresh-documents">Refresh</button>
<a class="button" href="documents/export" download="documents.jsonl">Export</a></p>"""
