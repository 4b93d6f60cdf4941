"""BM25 by bm25s: its defaults, English stop words, the Snowball stemmer where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bm25s  # type: ignore[import-untyped, import-not-found, unused-ignore]

from evals.peers.base import Passage

try:
    import Stemmer  # type: ignore[import-untyped, import-not-found, unused-ignore]
except ImportError:
    Stemmer = None


class Bm25:
    """Lexical ranking alone."""

    name = "bm25"

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Tokenise and count; nothing is written."""
        self._ids = [passage.id for passage in passages]
        self._stemmer = Stemmer.Stemmer("english") if Stemmer else None
        self._bm25 = bm25s.BM25()
        self._bm25.index(self._tokens([entry.text for entry in passages]), show_progress=False)

    def _tokens(self, texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """Passages that share a word with the query."""
        found, scores = self._bm25.retrieve(
            self._tokens([query]), k=min(k, len(self._ids)), show_progress=False
        )
        pairs = zip(found[0].tolist(), scores[0].tolist(), strict=True)
        return [(self._ids[place], score) for place, score in pairs if score > 0]
