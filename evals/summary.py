"""Rows of a run -> figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evals.measures import (
    RANKING,
    auroc,
    auroc_interval,
    bootstrap_interval,
    mean,
    ranking_by_question,
)
from evals.questions import EvalQuestion

Rows = Sequence[Mapping[str, Any]]
ANSWER = ("citation precision", "citation recall", "facts", "supported", "first", "phase correct")
"""Measures of an answer that was given to a question with gold."""


class ResultError(Exception):
    """A file that is no result of a run."""


def read_result(path: Path) -> dict[str, Any]:
    """What ``python -m evals run`` wrote to result.json; raises ResultError for another file."""
    try:
        result = json.loads(path.read_text("utf-8"))
        result["figures"], result["table"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultError(
            f"{path} is no result of a run ({error!r}). Name the result.json in a run's folder."
        ) from error
    return dict(result)


def per_question(questions: Sequence[EvalQuestion], rows: Rows) -> list[dict[str, Any]]:
    """One row a question: its measures; None where a measure does not apply."""
    qrels = {
        question.id: {entry.id: entry.grade for entry in question.gold}
        for question in questions
        if question.answerable
    }
    ranked = ranking_by_question(qrels, {row["id"]: row["ranking"] for row in rows})
    return [
        {
            "id": question.id,
            "kind": question.kind,
            "phase": question.phase,
            "topic": question.topic,
            "source kind": row["source_kinds"],
            "question": question.question,
            "answered": row["outcome"] == "answered",
            "probability": row["probability"],
            "elapsed_ms": row["elapsed_ms"],
            **ranked.get(question.id, dict.fromkeys(RANKING)),
            **_answer_measures(question, row),
            "determinism": row["same_again"],
        }
        for question, row in zip(questions, rows, strict=True)
    ]


def _answer_measures(question: EvalQuestion, row: Mapping[str, Any]) -> dict[str, float | None]:
    if not question.answerable or row["outcome"] != "answered":
        return dict.fromkeys(ANSWER)
    relevant = {entry.id for entry in question.gold}
    answering = {entry.id for entry in question.gold if entry.grade == 2}
    statements = row["statements"]
    cited = {provision for entry in statements for provision in entry["cited"]}
    said = " ".join(entry["text"] for entry in statements).casefold()
    facts = [fact.casefold() in said for fact in question.facts]
    return {
        "citation precision": len(cited & relevant) / len(cited),
        "citation recall": min(1.0, len(cited & answering) / min(3, len(answering))),
        "facts": mean([float(found) for found in facts]) if facts else None,
        "supported": row["supported"] / len(statements),
        "first": float(bool(set(statements[0]["cited"]) & answering)),
        "phase correct": float(question.phase in row["phases"]) if question.phase else None,
    }


def summarise(table: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Means with 95 % bootstrap intervals over questions, and the figures of abstention.

    Each entry has ``value``, ``low``, ``high`` and ``n`` (questions it rests on).
    """
    figures = {}
    for name in (*RANKING, *ANSWER, "determinism"):
        figures[name] = _figure([row[name] for row in table if row[name] is not None])
    answerable = [row for row in table if row["nDCG@10"] is not None]
    refusable = [row for row in table if row["nDCG@10"] is None]
    figures["answerable refused"] = _figure([float(not row["answered"]) for row in answerable])
    figures["unanswerable answered"] = _figure([float(row["answered"]) for row in refusable])
    for kind in sorted({row["kind"] for row in refusable}):
        answered = [float(row["answered"]) for row in refusable if row["kind"] == kind]
        figures[f"{kind} answered"] = _figure(answered)
    positives, negatives = (
        [float(row["probability"]) for row in rows] for rows in (answerable, refusable)
    )
    area, (low, high) = auroc(positives, negatives), auroc_interval(positives, negatives)
    figures["AUROC"] = {"value": area, "low": low, "high": high, "n": len(table)}
    times = [row["elapsed_ms"] for row in table]
    for share in (50, 95):
        value = float(np.percentile(times, share)) if times else math.nan
        low, high = bootstrap_interval(times, partial(np.percentile, q=share))
        figures[f"latency p{share} ms"] = {"value": value, "low": low, "high": high, "n": len(times)}  # fmt: skip
    return figures


def _figure(values: Sequence[float]) -> dict[str, float]:
    low, high = bootstrap_interval(values)
    return {"value": mean(values), "low": low, "high": high, "n": len(values)}
