"""Checklist -> HTML: what applies in a phase, to tick off; ticks and notes stay in the browser."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import groupby

from assistant.interfaces.web import export
from assistant.interfaces.web.markup import attributes, cite, prose, text
from assistant.types import Checklist, ChecklistItem, Citation


def checklist(found: Checklist, phases: Mapping[str, str], concerns: Mapping[str, str]) -> str:
    """The items by concern, what comes before and after, and how many there are besides.

    phases, concerns: titles by id. An item's ``data-key`` depends on its text alone.
    """
    by_number = {citation.number: citation for citation in found.citations}
    sections = "".join(
        f'<section><h3>{text(concerns[concern])}</h3><ul class="items">'
        f"{''.join(_item(item, by_number) for item in items)}</ul></section>"
        for concern, items in groupby(found.items, key=lambda item: item.concern)
    )
    about = attributes(
        data_phase=found.phase,
        data_title=phases[found.phase],
        data_corpus=found.corpus_version,
        data_references="\n".join(map(export.reference, found.citations)),
    )
    nothing = "" if found.items else '<p class="none">The sources hold nothing for this choice.</p>'
    more = f"<p class='note'>The sources hold {found.left_out} further actions for this choice.</p>"
    return (
        f'<div class="checklist"{about}>{_neighbours("Before this", found.before, phases)}{_BAR}'
        f"{sections}{nothing}{more if found.left_out else ''}"
        f"{_neighbours('Next', found.after, phases)}</div>"
    )


def _item(item: ChecklistItem, by_number: Mapping[int, Citation]) -> str:
    key = hashlib.sha256(item.text.encode()).hexdigest()[:16]
    numbers = "".join(cite(by_number[number]) for number in item.citations)
    line = export.escaped(item.text) + "".join(f" [{number}]" for number in item.citations)
    law = '<span class="duty">Law</span> ' if item.role == "requirement" else ""
    return (
        f'<li{attributes(data_key=key, data_markdown=line)}><label><input type="checkbox"> '
        f'<span>{law}{prose(item.text)}</span></label><span class="cites">{numbers}</span>'
        '<details class="note-box"><summary>Note</summary>'
        f'<textarea rows="2" maxlength="2000"{attributes(aria_label=f"Note on: {item.text[:80]}")}>'
        "</textarea></details></li>"
    )


def _neighbours(words: str, names: tuple[str, ...], phases: Mapping[str, str]) -> str:
    buttons = "".join(
        f'<button type="button"{attributes(data_checklist=name)}>{text(phases[name])}'
        "<span></span></button>"
        for name in names
    )
    return f'<p class="neighbours">{words}: {buttons}</p>' if names else ""


_BAR = """<p class="bar"><span class="progress" role="status"></span>
<button type="button" data-do="export-checklist">Export as Markdown</button>
<small>Ticks and notes stay in this browser.</small></p>"""
