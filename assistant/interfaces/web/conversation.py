"""Question -> turns: an answer piece by piece, as the page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.errors import AssistantError, QuestionError
from assistant.interfaces.limits import AtOnce, PerClient
from assistant.interfaces.web import export, turns
from assistant.interfaces.web.opening import Opening
from assistant.types import Answer, Citation, Said, Statement

REMEMBERED = 4
"""How many answers of a conversation are kept for follow-up questions."""
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the page puts it; ``corpus`` is the version that a permalink names, or ""."""

    question: str
    phase: str
    kinds: Sequence[str]
    jurisdictions: Sequence[str]
    sources: Sequence[str]
    corpus: str


def pieces(
    asked: Asked,
    client: str,
    opening: Opening,
    per_client: PerClient,
    at_once: AtOnce,
    history: Sequence[Answer],
) -> Iterator[tuple[dict[str, Any], Sequence[Answer]]]:
    """What the page shows of an answer, again and again with more, and the answers remembered.

    A piece has ``html`` and ``state``: waiting, streaming, refused, answered or abstained; the last
    one of an answer has ``answer``, ``markdown`` and ``spoken`` besides.
    """
    try:
        per_client.check(client)
        if not opening.state()["ready"]:
            yield {"state": "waiting", "html": turns.waiting("Waiting for the index …")}, history
        with at_once.place():
            yield from _answering(asked, opening, history)
    except AssistantError as error:
        yield {"state": "refused", "html": turns.refused(str(error)), "spoken": str(error)}, history


def _answering(
    asked: Asked, opening: Opening, history: Sequence[Answer]
) -> Iterator[tuple[dict[str, Any], Sequence[Answer]]]:
    assistant = opening.result(_PATIENCE_S)
    if assistant is None:
        raise QuestionError("The index is still being built. Ask again when it is ready.")
    phases = {term.id: term.title for term in assistant.corpus.taxonomy.phases.values()}
    statements: list[Statement] = []
    citations: list[Citation] = []
    for piece in assistant.stream(
        asked.question,
        phase=asked.phase or None,
        kind=asked.kinds,
        jurisdiction=asked.jurisdictions,
        source=asked.sources,
    ):
        if isinstance(piece, Said):
            statements.append(piece.statement)
            citations.extend(piece.citations)
            yield {"state": "streaming", "html": turns.under_way(statements, citations)}, history
        else:
            last = {
                "state": piece.outcome,
                "html": turns.answered(piece, phases, asked.corpus),
                "spoken": turns.spoken(piece),
                "markdown": export.markdown(piece),
                "answer": piece.to_dict(),
            }
            yield last, [*history, piece][-REMEMBERED:]
