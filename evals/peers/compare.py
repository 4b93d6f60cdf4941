"""Run peers over questions, measure, and set them side by side."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.measures import RANKING, bootstrap_interval, mean, ranking_by_question
from evals.peers.base import Passage
from evals.peers.process import PeerProcess, PeerUnavailable
from evals.questions import EvalQuestion

Step = Callable[[str, int], None]
"""Called with what a peer is doing and how many questions are done."""


@dataclass(frozen=True)
class Result:
    """What a peer did. ``problem`` says why it did not run, else "".

    rows: one a question, in order: its id, kind, phase, topic, each of RANKING, ``search_ms``, and
    ``top``, the ids as they were ranked. index_s: seconds until the first question could be asked.
    """

    name: str
    version: str = ""
    problem: str = ""
    index_s: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)


def run_peer(
    name: str,
    corpus: Path,
    passages: Sequence[Passage],
    questions: Sequence[EvalQuestion],
    k: int,
    step: Step = lambda doing, done: None,
) -> Result:
    """Index and ask all questions; a peer that is missing or breaks is a Result with a problem.

    corpus: the folder that ``passages`` are from. ``step`` is called before each step.
    """
    with tempfile.TemporaryDirectory(prefix=f"peer-{name}-") as folder:
        try:
            with PeerProcess(name, Path(folder), corpus) as peer:
                step("index", 0)
                version, index_s = peer.index(passages)
                found = []
                for done, question in enumerate(questions):
                    step("search", done)
                    found.append(peer.search(question.question, k))
        except PeerUnavailable as error:
            return Result(name, problem=str(error))
    return Result(name, version, "", index_s, _rows(questions, found))


def measure_again(kept: Mapping[str, Any], questions: Sequence[EvalQuestion]) -> Result:
    """A result that was kept as a mapping, its rankings measured by the gold of ``questions``.

    Raises KeyError for a question that was not asked.
    """
    rows = {row["id"]: row for row in kept["rows"]}
    found = [(rows[entry.id]["top"], rows[entry.id]["search_ms"]) for entry in questions]
    return Result(
        kept["name"], kept["version"], kept["problem"], kept["index_s"], _rows(questions, found)
    )


def _rows(
    questions: Sequence[EvalQuestion], found: Sequence[tuple[list[str], float]]
) -> list[dict[str, Any]]:
    """Measures by question. The order alone counts: equal scores would be put in order of ids."""
    qrels = {entry.id: {gold.id: gold.grade for gold in entry.gold} for entry in questions}
    run = {
        question.id: {key: float(len(ids) - place) for place, key in enumerate(ids)}
        for question, (ids, _) in zip(questions, found, strict=True)
    }
    measured = ranking_by_question(qrels, run)
    return [
        {
            "id": question.id,
            "kind": question.kind,
            "phase": question.phase,
            "topic": question.topic,
            **measured[question.id],
            "search_ms": search_ms,
            "top": ids,
        }
        for question, (ids, search_ms) in zip(questions, found, strict=True)
    ]


def table(results: Sequence[Result]) -> str:
    """Markdown, one row a peer: means with 95 % bootstrap intervals over questions, and times."""
    header = ["peer", "version", *RANKING, "search ms, median", "index s"]
    lines = [header, ["---"] * len(header)]
    for result in results:
        if result.problem:
            lines.append([result.name, _cell(result.problem), *["–"] * (len(header) - 2)])
            continue
        search_ms = statistics.median(row["search_ms"] for row in result.rows)
        measures = [_figure([row[name] for row in result.rows]) for name in RANKING]
        times = [f"{search_ms:.1f}", f"{result.index_s:.1f}"]
        lines.append([result.name, result.version, *measures, *times])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(text: str) -> str:
    """One line, and nothing that ends a cell."""
    return " ".join(text.split()).replace("|", "\\|")[:200]


def _figure(values: Sequence[float]) -> str:
    low, high = bootstrap_interval(values)
    return f"{mean(values):.3f} ({low:.2f}–{high:.2f})"
