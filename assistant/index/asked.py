"""What developers ask of the provisions, for comparing a question with all of it, exactly.

These questions steer the ranking and are never shown, so that they need no records: in the vector
store they would be more than half of them, and its graph takes longer to build than they to compare.
"""

from __future__ import annotations

import numpy as np

from assistant.embedding import Vectors
from assistant.index.reader import Index
from assistant.taxonomy import BINDINGS


class Asked:
    """The vectors of the asked questions of an index."""

    def __init__(self, index: Index) -> None:
        pairs = [
            (number, row) for number, rows in enumerate(index.rows_of) for row in rows["asked"]
        ]
        self._numbers = np.array([number for number, _ in pairs], np.int64)
        self._vectors = index.vectors[[row for _, row in pairs]]
        provisions, documents = index.corpus.provisions, index.corpus.by_source
        binding = np.array([documents[entry.source_id].source.binding for entry in provisions])
        self._places = {name: np.flatnonzero(binding[self._numbers] == name) for name in BINDINGS}

    def nearest(
        self, vector: Vectors, allowed: np.ndarray, limit: int
    ) -> dict[str, list[tuple[float, int]]]:
        """For each degree of binding the questions nearest to a unit vector, in no order.

        allowed: for each provision, whether it may be found; bool, shape (provisions,). Each question
        is its cosine in -1..1 and the number of its provision.
        """
        cosines = self._vectors @ vector
        found = {}
        for name, places in self._places.items():
            within = places[allowed[self._numbers[places]]]
            if len(within) > limit:
                within = within[np.argpartition(-cosines[within], limit)[:limit]]
            found[name] = list(
                zip(cosines[within].tolist(), self._numbers[within].tolist(), strict=True)
            )
        return found
