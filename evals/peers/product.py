"""The product itself, as a peer: ``Assistant.search`` with an index built for the occasion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assistant import Assistant, load_settings
from evals import NO_LIBRARY
from evals.peers.base import Passage


class Product:
    """Takes the corpus from the settings, as its users do."""

    name = "assistant"

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Export the model and build the index under ``folder``; the passages are not used."""
        self._assistant = Assistant.open(load_settings(cache=folder, library=NO_LIBRARY))

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """The provisions found, best first; those that the query names share the highest score."""
        return [(hit.provision.id, hit.score) for hit in self._assistant.search(query, k)]
