"""Which peers there are, what each is made of, and how to install it. Standard library only."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evals.peers.base import Peer

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer: its module and class, and the distributions whose versions say what ran."""

    module: str
    made_by: str
    distributions: tuple[str, ...]

    def make(self) -> Peer:
        """Import the module and make the peer; raises ImportError where a library is missing."""
        peer: Peer = getattr(importlib.import_module(self.module), self.made_by)()
        return peer

    def version(self) -> str:
        """Names and versions of those distributions that are installed here."""
        found = []
        for name in self.distributions:
            try:
                found.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                found.append(f"without {name}")
        return ", ".join(found)


_ENTRIES = {
    "assistant": ("product", "Product", ("safety-guideline-assistant",)),
    "bm25": ("bm25", "Bm25", ("bm25s", "PyStemmer")),
    "dense": ("dense", "Dense", ("sentence-transformers", "chromadb")),
    "tutorial": ("tutorial", "Tutorial", ("langchain", "langchain-chroma")),
    "ensemble": ("ensemble", "Ensemble", ("langchain-classic", "rank-bm25", "langchain-chroma")),
    "txtai": ("txtai_hybrid", "TxtaiHybrid", ("txtai",)),
    "haystack": (
        "haystack_hybrid",
        "HaystackHybrid",
        ("haystack-ai", "sentence-transformers-haystack"),
    ),
}
PEERS = {
    name: Entry(f"evals.peers.{module}", made_by, distributions)
    for name, (module, made_by, distributions) in _ENTRIES.items()
}
"""By name, in the order of the table; the product itself is the first."""


def install_command(name: str) -> str:
    """What makes a peer runnable, from the root of the checkout."""
    file = HERE / f"requirements-{name}.txt"
    what = f"-r evals/peers/{file.name}" if file.is_file() else "-e '.[dev]'"
    return f"pip install {what} -c constraints.txt"


def interpreter_variable(name: str) -> str:
    """The environment variable that names the interpreter of a peer's own environment."""
    return f"PEERS_PYTHON_{name.upper()}"
