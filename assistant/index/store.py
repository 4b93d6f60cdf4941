"""The vector store: passages and the questions that they answer, in Chroma, by cosine.

There is a collection for each degree of binding, since an answer has a section for each (law,
guidance, evidence) and a metadata filter on one collection would cost more than the search itself.

The only module that imports chromadb. A store belongs to one generation of the index and is
written by one process, under the index's lock, before anybody opens it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assistant.documents import Corpus
from assistant.embedding import Vectors
from assistant.index.manifest import damaged
from assistant.index.rows import STORED, Row
from assistant.taxonomy import BINDINGS
from assistant.types import Source

if TYPE_CHECKING:
    from chromadb import Collection

_BATCH = 500
# Clients of one folder share a system, which Chroma makes and counts without a lock of its own: of
# two threads that open at the same time one got a system that was not started yet.
_CLIENTS = threading.Lock()
# A search list several times as long as the candidates taken makes HNSW's answer exact in practice,
# and with it the same from one build to the next. With a sync threshold of 1 no record stays in
# Chroma's log only: the log is replayed at every open, and the graph's files rewritten after it.
_HNSW = {
    "space": "cosine",
    "ef_construction": 200,
    "ef_search": 400,
    "max_neighbors": 24,
    "sync_threshold": 1,
    "batch_size": 1,
}


@dataclass(frozen=True)
class Record:
    """What the store holds of one row: the passage or ask, and what a filter may ask about it."""

    row: Row
    source: Source

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The record's metadata in Chroma."""
        return {
            "provision": self.row.provision.id,
            "part": self.row.part,
            "source": self.source.id,
            "kind": self.source.kind,
            "jurisdiction": self.source.jurisdiction,
        }

    @property
    def id(self) -> str:
        """Changes with anything that the record holds."""
        text = "\0".join((self.row.text, *self.metadata.values()))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def stored_records(corpus: Corpus, rows: Iterable[Row]) -> Iterator[Record]:
    """The records that a corpus makes: its rows of the parts STORED."""
    for row in rows:
        if row.part in STORED:
            yield Record(row, corpus.by_source[row.provision.source_id].source)


class StoreWriteError(OSError):
    """The vector store cannot be written."""


def batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Keys in parts that Chroma takes at once."""
    return (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))


class VectorStore:
    """Chroma collections on disk, one for each of BINDINGS."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        import chromadb
        from chromadb.config import Settings

        try:
            with _CLIENTS:
                self._client = chromadb.PersistentClient(
                    str(folder), settings=Settings(anonymized_telemetry=False)
                )
            self._collections = {name: self._collection(name, create) for name in BINDINGS}
        except Exception as error:  # what Chroma's native core raises has no common type
            if create:
                raise StoreWriteError(_detail(error)) from error
            raise damaged(_detail(error)) from error

    def _collection(self, name: str, create: bool) -> Collection:
        if create:
            return self._client.get_or_create_collection(
                name, configuration={"hnsw": _HNSW}, embedding_function=None
            )
        return self._client.get_collection(name, embedding_function=None)

    def replace(
        self,
        binding: str,
        records: Mapping[str, Record],
        vector: Callable[[Row], Vectors],
        progress: Callable[[int], None],
    ) -> None:
        """Make a collection hold exactly these records, writing only what differs.

        Raises StoreWriteError if it cannot be written.
        """
        collection = self._collections[binding]
        present = self.ids(binding)
        new = [key for key in records if key not in present]
        progress(len(records) - len(new))
        try:
            for gone in batches(sorted(present - set(records))):
                collection.delete(ids=list(gone))
            for batch in batches(new):
                collection.add(
                    ids=list(batch),
                    embeddings=np.stack([vector(records[key].row) for key in batch]),
                    documents=[records[key].row.text for key in batch],
                    metadatas=[records[key].metadata for key in batch],
                )
                progress(len(batch))
        except Exception as error:
            raise StoreWriteError(_detail(error)) from error

    def nearest(
        self, binding: str, vectors: Vectors, limit: int, where: Mapping[str, object] | None = None
    ) -> list[list[tuple[str, float]]]:
        """Records nearest to each unit vector: (record id, cosine in -1..1), best first.

        Only ids are asked for: fetching what the records hold would cost more than the search.

        Raises IndexDamaged if the store does not answer.
        """
        try:
            answer = self._collections[binding].query(
                query_embeddings=vectors,
                n_results=limit,
                where=dict(where) if where else None,
                include=["distances"],
            )
            found = zip(answer["ids"], answer["distances"] or (), strict=True)
            return [
                [(key, 1.0 - float(distance)) for key, distance in zip(*entry, strict=True)]
                for entry in found
            ]
        except Exception as error:
            raise damaged(_detail(error)) from error

    def vectors(self, binding: str, keys: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of those of the records that a collection holds, by id."""
        try:
            found = self._collections[binding].get(ids=list(keys), include=["embeddings"])
            return dict(zip(found["ids"], np.asarray(found["embeddings"]), strict=True))
        except Exception as error:
            raise damaged(_detail(error)) from error

    def ids(self, binding: str) -> set[str]:
        """The ids of all records of a collection."""
        try:
            return set(self._collections[binding].get(include=[])["ids"])
        except Exception as error:
            raise damaged(_detail(error)) from error

    def count(self, binding: str) -> int:
        """How many records a collection holds."""
        try:
            return int(self._collections[binding].count())
        except Exception as error:
            raise damaged(_detail(error)) from error

    def close(self) -> None:
        """Release files and threads."""
        with _CLIENTS:
            self._client.close()


def _detail(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
