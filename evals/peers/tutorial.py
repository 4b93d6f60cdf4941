"""The pipeline of the LangChain tutorials (`evals/bench/tutorial.py`) over the corpus files.

It retrieves chunks of 1000 characters, which know nothing of provisions. A chunk counts for every
provision that it overlaps, in the order of the file; of several chunks of a provision the best
ranked counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from assistant import Document, load_settings
from assistant.documents import load_corpus
from evals.peers.base import Passage


def overlapped(document: Document, chunk: str) -> list[str]:
    """Ids of the provisions that a chunk of a document's text overlaps, in the file's order.

    A chunk whose text occurs more than once counts for all its places.
    """
    found: list[str] = []
    start = document.text.find(chunk) if chunk else -1
    while start >= 0:
        stop = start + len(chunk)
        found += [
            entry.id
            for entry in document.provisions
            if entry.start < stop and start < entry.stop and entry.id not in found
        ]
        start = document.text.find(chunk, start + 1)
    return found


class Tutorial:
    """Chunks of fixed size, embedded; takes the corpus from the settings."""

    name = "tutorial"

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Split, embed and store the corpus files; the passages are not used."""
        from evals.bench.tutorial import build, open_store

        settings = load_settings()
        self._by_source = load_corpus(settings.corpus).by_source
        build(settings.corpus / "sources", folder)
        self._store = open_store(folder)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """The provisions of the 2 k nearest chunks; the score is 1 − the chunk's distance."""
        best: dict[str, float] = {}
        for chunk, distance in self._store.similarity_search_with_score(query, k=2 * k):
            document = self._by_source[Path(chunk.metadata["source"]).stem]
            for key in overlapped(document, chunk.page_content):
                best.setdefault(key, 1.0 - distance)
        return list(islice(best.items(), k))
