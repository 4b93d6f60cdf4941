"""Shared parts: no network but loopback, a clean environment, a small corpus, a hash embedder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from assistant import Assistant, Settings, load_settings
from assistant.documents import Corpus, load_corpus
from assistant.embedding import Vectors
from assistant.index import build_index, open_index
from assistant.ranking import load_ranking
from assistant.retrieval import Retriever

ROOT = Path(__file__).resolve().parent.parent
SMALL = Path(__file__).resolve().parent / "data" / "corpus"
TIMEOUT_S = 30
"""How long a test waits for a thread before it fails."""


class HashEmbedder:
    """Words hashed into 64 buckets: deterministic, instant, and near for texts that share words."""

    def __init__(self, digest: str = "hash-64") -> None:
        self.digest = digest
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        self.embedded.extend(texts)
        vectors = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[0] = 0.01
            for word in text.lower().split():
                row[int(hashlib.sha256(word.strip(".,?!").encode()).hexdigest(), 16) % 64] += 1.0
            row /= np.linalg.norm(row)
            if progress:
                progress(1)
        return vectors


class Gate(HashEmbedder):
    """An embedder at which questions wait until the gate is opened; counts who waits at once."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        assert self.opened.wait(TIMEOUT_S), "nobody opened the gate"
        with self._lock:
            self.inside -= 1
        return super().embed(texts, progress)

    async def wait(self, times: int = 1) -> None:
        """Until that many questions have come to the gate."""
        for _ in range(times):
            assert await asyncio.to_thread(self.entered.acquire, timeout=TIMEOUT_S)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections elsewhere than to this machine fail at once."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if host not in ("", "127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("SAFETY_ASSISTANT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SAFETY_ASSISTANT_SETTINGS", str(tmp_path / "no-settings.toml"))
    monkeypatch.setenv("SAFETY_ASSISTANT_LIBRARY", str(tmp_path / "no-library"))
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "data"))


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A copy of the small corpus that a test may change."""
    folder = tmp_path / "corpus"
    shutil.copytree(SMALL, folder)
    return folder


@pytest.fixture
def small_corpus(small_folder: Path) -> Corpus:
    """Three sources (a law, a guideline, incidents) with eight provisions."""
    return load_corpus(small_folder)


@pytest.fixture
def small_settings(small_folder: Path, tmp_path: Path) -> Settings:
    """Settings for the small corpus, with a cache of their own."""
    return load_settings(
        corpus=small_folder,
        cache=tmp_path / "cache",
        library=tmp_path / "library",
        lock_timeout_s=5,
    )


@pytest.fixture(scope="session")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """The real thing: shipped corpus, bundled model, the checkout's own index."""
    with Assistant.open(Settings(library=tmp_path_factory.mktemp("no-library"))) as opened:
        yield opened


@pytest.fixture(scope="session")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The small corpus, indexed with the hash embedder."""
    found = Settings(corpus=SMALL, cache=tmp_path_factory.mktemp("cache"))
    build_index(load_corpus(SMALL), found, embedder=HashEmbedder())
    return found


def gated(settings: Settings, gate: Gate) -> Assistant:
    """An assistant on that index whose questions wait at the gate."""
    corpus = load_corpus(SMALL)
    index = open_index(corpus, settings, HashEmbedder())
    return Assistant(settings, corpus, index, Retriever(index, gate, load_ranking(settings.recipe)))
