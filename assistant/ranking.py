"""``ranking.json`` of the recipe folder: what is fitted on development questions, and its models."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.embedding import Vectors
from assistant.errors import SettingsError
from assistant.index.lexical import FIELDS
from assistant.questions import WISHES

CONFIDENCE = (
    "ask",
    "passage",
    "segment",
    "first",
    "coverage",
    "lead_coverage",
    "known",
    "agreement",
    "margin",
    "topic",
    "missing",
    "question",
    "uncovered",
    "uncovered_few",
    *WISHES,
)
RELEVANCE = ("score", "rank", "best")


@dataclass(frozen=True, slots=True)
class Ranking:
    """The contents of ranking.json: BM25 field weights, signal weights, abstention model.

    relevance: weights by name, and "bias", of the logistic model of ``relevance``.
    direction: in the embedding space of the model ``direction_model``, where questions that sources
    can answer differ from those that none can (prices, the future, other subjects); shape
    (dimension,), empty if there is none.
    """

    fields: tuple[float, ...]
    weights: Mapping[str, float]
    relevance: Mapping[str, float]
    bias: float
    abstention: Mapping[str, float]
    threshold: float
    direction: Vectors
    direction_model: str


def load_ranking(recipe: Path) -> Ranking:
    """Read ranking.json; raises SettingsError if a part is missing."""
    path = recipe / "ranking.json"
    try:
        data = json.loads(path.read_text("utf-8"))
        return Ranking(
            fields=tuple(float(data["fields"][name]) for name in FIELDS),
            weights=dict(data["weights"]),
            relevance={name: float(data["relevance"][name]) for name in ("bias", *RELEVANCE)},
            bias=float(data["abstention"]["bias"]),
            abstention=dict(data["abstention"]["weights"]),
            threshold=float(data["abstention"]["threshold"]),
            direction=np.array(data["abstention"].get("direction", []), np.float32),
            direction_model=str(data["abstention"].get("model", "")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be read ({error!r}). Restore it from the release."
        ) from error


def relevances(scores: Sequence[float], ranking: Ranking) -> list[float]:
    """For the scores of hits, best first, the fitted probabilities that the hits are relevant."""
    weights = ranking.relevance
    return [
        _logistic(
            weights["bias"]
            + weights["score"] * score
            + weights["rank"] * math.log(rank)
            + weights["best"] * scores[0]
        )
        for rank, score in enumerate(scores, start=1)
    ]


def covered(confidence: Mapping[str, float], ranking: Ranking) -> float:
    """Probability, by the fitted logistic model, that the corpus covers the question."""
    value = ranking.bias + sum(
        weight * confidence[name] for name, weight in ranking.abstention.items()
    )
    return _logistic(value)


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))
