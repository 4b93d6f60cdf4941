"""What interfaces show of hits and provisions, and how a result is cut to a size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, TypeVar

from assistant.api import Assistant
from assistant.documents import Link
from assistant.retrieval import Hit
from assistant.types import Answer, Checklist, ChecklistItem, Citation, Provision, Source, Statement

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class FoundProvision:
    """A provision that a search found; ``score`` is comparable within one search only.

    ``signals`` are the parts that the score was made of, by name.
    """

    id: str
    score: float
    signals: Mapping[str, float]
    locator: str
    title: str
    source_id: str
    url: str


@dataclass(frozen=True, slots=True)
class ShownProvision:
    """A provision in full: its text, where it stands, what it is about and what says the same."""

    id: str
    source_id: str
    locator: str
    title: str
    url: str
    text: str
    phases: tuple[str, ...]
    concerns: tuple[str, ...]
    roles: tuple[str, ...]
    tests: tuple[str, ...]
    in_force_from: str | None
    status: str
    source: Source
    related: tuple[Link, ...]


def found_provision(hit: Hit) -> FoundProvision:
    """A hit as it is shown; numbers have six digits."""
    return FoundProvision(
        id=hit.provision.id,
        score=round(hit.score, 6),
        signals={name: round(value, 6) for name, value in hit.signals.items()},
        locator=hit.provision.locator,
        title=hit.provision.title,
        source_id=hit.document.source.id,
        url=hit.provision.url,
    )


def shown_provision(provision: Provision, assistant: Assistant) -> ShownProvision:
    """A provision with its text, its source and its crosswalk."""
    document = assistant.document(provision.source_id)
    return ShownProvision(
        id=provision.id,
        source_id=provision.source_id,
        locator=provision.locator,
        title=provision.title,
        url=provision.url,
        text=document.text[provision.segments[0].start : provision.stop],
        phases=provision.phases,
        concerns=provision.concerns,
        roles=provision.roles,
        tests=provision.tests,
        in_force_from=provision.in_force_from,
        status=provision.status,
        source=document.source,
        related=assistant.related(provision),
    )


def as_json(value: Any) -> str:
    """A dataclass, or anything json can write, as JSON without spaces between lines."""
    return json.dumps(asdict(value) if is_dataclass(value) else value, ensure_ascii=False)  # type: ignore[arg-type]


def first_that_fit(rows: Iterable[_Row], chars: int) -> tuple[_Row, ...]:
    """The longest beginning of some rows whose JSON has at most so many characters."""
    kept: list[_Row] = []
    for row in rows:
        chars -= _size(row)
        if chars < 0:
            break
        kept.append(row)
    return tuple(kept)


def cut_answer(answer: Answer, chars: int) -> tuple[Answer, int]:
    """An answer whose JSON has at most so many characters, and how many statements that cost.

    The last statements go first, with the citations that only they use.
    """
    room = chars - len(as_json(replace(answer, statements=(), citations=())))
    kept = _kept(answer.statements, answer.citations, range(len(answer.statements)), room)
    statements = tuple(answer.statements[place] for place in kept)
    fitting = replace(answer, statements=statements, citations=_used(statements, answer.citations))
    return fitting, len(answer.statements) - len(statements)


def cut_checklist(checklist: Checklist, chars: int) -> tuple[Checklist, int]:
    """A checklist whose JSON has at most so many characters, and how many items that cost.

    Each concern keeps its first items; what was cut is added to ``left_out``.
    """
    seen: dict[str, int] = {}
    ranks = []
    for item in checklist.items:
        ranks.append(seen.setdefault(item.concern, 0))
        seen[item.concern] += 1
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    room = chars - len(as_json(replace(checklist, items=(), citations=()))) - len("000")
    items = tuple(
        checklist.items[place] for place in _kept(checklist.items, checklist.citations, order, room)
    )
    cut = len(checklist.items) - len(items)
    citations = _used(items, checklist.citations)
    left_out = checklist.left_out + cut
    return replace(checklist, items=items, citations=citations, left_out=left_out), cut


def _kept(
    said: Sequence[Statement | ChecklistItem],
    citations: Iterable[Citation],
    order: Iterable[int],
    room: int,
) -> list[int]:
    """The places that fit into ``room`` characters, taken in an order, with their citations."""
    new = {citation.number: _size(citation) for citation in citations}
    kept = []
    for place in order:
        room -= _size(said[place]) + sum(new.pop(n, 0) for n in said[place].citations)
        if room < 0:
            break
        kept.append(place)
    return sorted(kept)


def _used(
    said: Iterable[Statement | ChecklistItem], citations: Iterable[Citation]
) -> tuple[Citation, ...]:
    numbers = {number for entry in said for number in entry.citations}
    return tuple(citation for citation in citations if citation.number in numbers)


def _size(row: Any) -> int:
    return len(as_json(row)) + len(", ")
