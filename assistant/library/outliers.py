"""A passage about something else than its document and the corpus, as text that was planted is."""

from __future__ import annotations

import numpy as np

from assistant.embedding import Vectors

REASON = "is about something else than the rest of its document"
ENOUGH = 8
"""In fewer passages, one of a kind is nothing remarkable."""
_NEAREST = 0.30
_SHIPPED = 0.45
"""Cosines below which a passage has nothing to do with another, and with the corpus of thousands.

They are of the bundled model; of what they hold see ``python -m evals.bench.suspicion``.
"""
_ROWS = 1024


def outliers(vectors: Vectors, shipped: Vectors) -> list[int]:
    """Which passages of a document are far from all others and from the corpus, by their places.

    vectors: unit vectors of the passages. shipped: of the corpus' texts, at least one.
    """
    count = len(vectors)
    if count < ENOUGH:
        return []
    nearest = np.empty(count, np.float32)
    for start in range(0, count, _ROWS):
        cosines = vectors[start : start + _ROWS] @ vectors.T
        places = np.arange(len(cosines))
        cosines[places, start + places] = -1
        nearest[start : start + _ROWS] = cosines.max(axis=1)
    alone = np.flatnonzero(nearest < _NEAREST)
    strange = (vectors[alone] @ shipped.T).max(axis=1) < _SHIPPED
    return [int(place) for place in alone[strange]]
