"""Question -> turns: an answer piece by piece, as the page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from threading import Event
from typing import Any

from assistant.api import Assistant
from assistant.conversation import HISTORY
from assistant.errors import AssistantError
from assistant.interfaces.serving import Opening
from assistant.interfaces.web import export, turns
from assistant.types import Answer, Citation, Said, Statement

_TOLD_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the page puts it.

    corpus: the version that a permalink names, or "". without: collections left out.
    """

    question: str
    phase: str
    kinds: Sequence[str]
    jurisdictions: Sequence[str]
    sources: Sequence[str]
    corpus: str
    without: Sequence[str] = ()


def pieces(
    asked: Asked, opening: Opening, history: Sequence[Answer], stop: Event | None = None
) -> Iterator[tuple[dict[str, Any], Sequence[Answer]]]:
    """What the page shows of an answer, again and again with more, and the answers remembered.

    stop: once set, no model writes on.

    A piece has ``html`` and ``state``: waiting, streaming, refused,
    answered or abstained; the last one of an answer has ``answer``, ``markdown`` and ``spoken`` besides.
    """
    try:
        opened = opening.start()
        while not opened.done():
            yield {"state": "waiting", "html": turns.waiting(f"{opening.doing} …")}, history
            wait([opened], _TOLD_EVERY_S)
        yield from _answering(asked, opened.result(), history, stop)
    except AssistantError as error:
        yield {"state": "refused", "html": turns.refused(str(error)), "spoken": str(error)}, history


def _answering(
    asked: Asked, assistant: Assistant, history: Sequence[Answer], stop: Event | None
) -> Iterator[tuple[dict[str, Any], Sequence[Answer]]]:
    phases = {term.id: term.title for term in assistant.corpus.taxonomy.phases.values()}
    limits = [*asked.kinds, *asked.jurisdictions, *asked.sources]
    statements: list[Statement] = []
    citations: list[Citation] = []
    for piece in assistant.stream(
        asked.question,
        phase=asked.phase or None,
        kind=asked.kinds,
        jurisdiction=asked.jurisdictions,
        source=asked.sources,
        without=asked.without,
        history=history,
        stop=stop,
    ):
        if isinstance(piece, Said):
            statements.append(piece.statement)
            citations.extend(piece.citations)
            yield {"state": "streaming", "html": turns.under_way(statements, citations)}, history
        else:
            last = {
                "state": piece.outcome,
                "html": turns.answered(piece, phases, asked.corpus, limits, asked.without),
                "spoken": turns.spoken(piece),
                "markdown": export.markdown(piece),
                "answer": piece.to_dict(),
            }
            yield last, [*history, piece][-HISTORY:]
