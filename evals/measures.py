"""Measures, with the field's names and definitions.

Ranking measures are those of ir-measures. A mean over nothing is NaN, never 0. Abstention: the
"score" of a question is the assistant's probability that the corpus covers it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ir_measures
import numpy as np

RANKING = ("nDCG@10", "R(rel=2)@5", "R(rel=2)@20", "Success(rel=2)@20", "RR(rel=2)")
"""Success: 1 if a provision that answers is among the first 20, however many others are not."""


def ranking_by_question(
    qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """For each question of ``qrels`` each of RANKING; a question without results counts as 0.

    qrels: question id -> provision id -> grade (1 helps, 2 answers). run: question id ->
    provision id -> score.
    """
    measures = {ir_measures.parse_measure(name): name for name in RANKING}
    rows: dict[str, dict[str, float]] = {query: dict.fromkeys(RANKING, 0.0) for query in qrels}
    plain_qrels = {query: dict(entry) for query, entry in qrels.items()}
    plain_run = {query: dict(run.get(query, {})) for query in qrels}
    for metric in ir_measures.iter_calc(list(measures), plain_qrels, plain_run):
        rows[metric.query_id][measures[metric.measure]] = float(metric.value)
    return rows


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else math.nan


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[..., Any] = np.mean,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap 95 % interval of a statistic over questions; (NaN, NaN) of nothing.

    statistic: a reduction of NumPy's form, which takes an array and ``axis``.
    """
    if not values:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    array = np.asarray(values, dtype=float)
    drawn = generator.integers(0, len(array), size=(resamples, len(array)))
    low, high = np.percentile(statistic(array[drawn], axis=1), [2.5, 97.5])
    return float(low), float(high)


def auroc(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Probability that an answerable question scores above one that is not; ties count half."""
    if not positives or not negatives:
        return math.nan
    return float(_won(positives, negatives).mean())


def auroc_interval(
    positives: Sequence[float], negatives: Sequence[float], resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap 95 % interval of ``auroc``, both sides drawn anew, each for itself."""
    if not positives or not negatives:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    of, against = (
        generator.multinomial(size, np.full(size, 1 / size), size=resamples) / size
        for size in (len(positives), len(negatives))
    )
    areas = (of @ _won(positives, negatives) * against).sum(axis=1)
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def _won(positives: Sequence[float], negatives: Sequence[float]) -> np.ndarray[Any, Any]:
    """For each pair 1 if the positive is above, a half for a tie, else 0."""
    above, below = np.asarray(positives)[:, None], np.asarray(negatives)[None, :]
    return np.where(above == below, 0.5, above > below)


def risk_coverage(
    scores: Sequence[float], correct: Sequence[bool]
) -> list[tuple[float, float, float]]:
    """The risk-coverage curve: (threshold, share answered, share of those that is wrong).

    Questions are answered from the highest score down; ``correct`` says whether answering is right.
    """
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    wrong = 0
    curve = []
    for taken, index in enumerate(order, start=1):
        wrong += not correct[index]
        curve.append((scores[index], taken / len(order), wrong / taken))
    return curve
