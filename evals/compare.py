"""The paired comparison of two runs: ``python -m evals compare OLD NEW``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.measures import RANKING, bootstrap_interval, mean

TOLERANCE: Mapping[str, float] = {
    "nDCG@10": 0.01,
    "R(rel=2)@5": 0.015,
    "R(rel=2)@20": 0.01,
    "Success(rel=2)@20": 0.01,
    "RR(rel=2)": 0.015,
    "citation precision": 0.015,
    "citation recall": 0.015,
    "facts": 0.02,
    "supported": 0.0,
    "first": 0.02,
    "phase correct": 0.02,
    "determinism": 0.0,
    "correct outcome": 0.01,
}
"""How much the mean of a measure may fall from one run to the next."""


@dataclass(frozen=True)
class Difference:
    """Mean of new minus old over the questions of both, with a bootstrap 95 % interval.

    lost: ids of the questions that became worse, the most lost first.
    """

    measure: str
    change: float
    low: float
    high: float
    lost: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        """Whether the fall is beyond the tolerance, or there is nothing to compare."""
        return not self.change >= -TOLERANCE[self.measure]


def compare(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Compare per-question tables of two runs on the questions that both hold.

    A measure of which the old run has no value is left out.
    """
    before = {row["id"]: row for row in old}
    pairs = [(before[row["id"]], row) for row in new if row["id"] in before]
    measured = [name for name in TOLERANCE if any(_value(row, name) is not None for row in old)]
    return [_difference(name, pairs) for name in measured]


def _difference(
    name: str, pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> Difference:
    changes = {}
    for one, other in pairs:
        values = _value(one, name), _value(other, name)
        if values[0] is not None and values[1] is not None:
            changes[str(other["id"])] = values[1] - values[0]
    low, high = bootstrap_interval(list(changes.values()))
    lost = sorted((key for key in changes if changes[key] < 0), key=lambda key: changes[key])
    return Difference(name, mean(list(changes.values())), low, high, tuple(lost))


def _value(row: Mapping[str, Any], name: str) -> float | None:
    if name == "correct outcome":
        return float(row["answered"] == (row[RANKING[0]] is not None))
    if name == "first" and row[RANKING[0]] is not None:
        return float(row["first"] or 0.0)
    value = row.get(name)
    return None if value is None else float(value)
