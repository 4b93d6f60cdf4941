"""What a peer is given and what it gives back. Standard library only: every environment loads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Passage:
    """One provision: its id, and its text from the heading to the end, as in the corpus file."""

    id: str
    text: str


class Peer(Protocol):
    """A retrieval set-up; made without arguments, indexed once, then searched."""

    name: str

    def index(self, passages: Sequence[Passage], folder: Path) -> None:
        """Index all passages; ``folder`` is empty and may be written to."""

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """At most k passage ids with scores (higher is better), best first, each id once."""
