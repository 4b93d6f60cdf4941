"""The library for reading: the passages of own documents nearest to a question.

Dense search compares the question with every vector, which is exact, takes 10 ms for 100,000
passages, and needs nothing beside the database that could disagree with it. Words are looked up by
SQLite FTS5. What is in quarantine is in neither result.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from assistant.embedding import Embedder, Vectors
from assistant.errors import LibraryError
from assistant.library.database import connect, exists
from assistant.library.passages import only_lists, says_something
from assistant.library.stored import read_document, read_provision, read_source, read_text
from assistant.types import Document, Provision, Segment, Source

_CANDIDATES = 40
_COMMON = 2000
"""From so many passages on, a word is looked for only in what was found otherwise."""
_TITLE = 2.0
"""Weight of a passage's title in BM25, where its body has 1."""
_SAME = 0.93
"""Cosine of passages that are versions of one, as of a text and its PDF."""
_COSINE = 2.0
"""Weight of the cosine where coverage has 1, about as in the fitted ranking."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """A passage found.

    cosine: of the passage with the question. words: those of the question's that it holds.
    sentences: unit vectors of its segments, shape (segments, dimension).
    """

    provision: Provision
    document: Document
    cosine: float
    words: frozenset[str]
    sentences: Vectors = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of the library gives; known: words of the question that any passage holds."""

    passages: tuple[Shelved, ...]
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class _State:
    """What is kept in memory; a row is a passage.

    sources: by place. vectors: shape (passages, dimension). numbers: of the passages in the
    database, rising. owners: the place of each one's source. held: which are in quarantine.
    """

    sources: list[Source]
    vectors: Vectors
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    owners: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    held: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


class Shelf:
    """Reads a library that others may make or change meanwhile. Safe from several threads.

    folder: where it is or will be; None: there is none.
    """

    def __init__(self, folder: Path | None, embedder: Embedder) -> None:
        self._folder, self._embedder = folder, embedder
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._version = -1
        self._state: _State | None = None
        self._texts = lru_cache(maxsize=32)(self._read_text)
        self._sentences = lru_cache(maxsize=4096)(self._embed_sentences)

    def close(self) -> None:
        """Release the database; closing twice does nothing more."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def sources(self) -> list[Source]:
        """What the documents count as, in the order of adding; empty without a library."""
        with self._reading() as state:
            return state.sources if state else []

    def document(self, identifier: str) -> Document | None:
        """A document with all its passages as provisions; None if there is none of this id."""
        with self._reading():
            return read_document(self._connection, identifier) if self._connection else None

    def read_text(self, identifier: str) -> tuple[str, str]:
        """A document's text and digest as they are stored now; ("", "unreadable") if it is gone."""
        with self._reading() as state:
            found = (
                state
                and self._connection
                and self._connection.execute(
                    "select text, sha256 from documents where id = ?", (identifier,)
                ).fetchone()
            )
            return found or ("", "unreadable")

    def search(
        self,
        vector: Vectors,
        words: Mapping[str, float],
        allows: Callable[[Source], bool],
        limit: int,
    ) -> Found:
        """The passages nearest in meaning and words, best first.

        vector: unit vector of the question. words: its content words, with their shares of it.
        allows: which sources may be used. Raises LibraryError if the documents were embedded by
        another model.
        """
        with self._reading() as state:
            if state is None or not state.sources:
                return Found((), frozenset())
            allowed = np.array([allows(source) for source in state.sources])[state.owners]
            open_to = allowed & ~state.held
            cosines = np.where(open_to, state.vectors @ vector, np.float32(-1))
            near = np.argpartition(-cosines, min(_CANDIDATES, len(cosines) - 1))[:_CANDIDATES]
            rows = {int(row) for row in (*near, *self._worded(state, words)) if open_to[row]}
            holding = self._holding(state, words, rows)
            ranked = sorted(
                rows,
                key=lambda row: (
                    -_COSINE * float(cosines[row]) - sum(words[word] for word in holding[row]),
                    row,
                ),
            )
            places = list(islice(self._distinct(state, ranked), limit))
            known = frozenset(word for word in words if self._rows_of(word, 1))
        shelved = tuple(
            Shelved(
                provision,
                document,
                float(cosines[row]),
                frozenset(holding[row]),
                self._sentences(document.sha256, tuple(map(document.quote, provision.segments))),
            )
            for row, document, provision in places
        )
        return Found(shelved, known)

    @contextmanager
    def _reading(self) -> Iterator[_State | None]:
        """One state of the library for all queries inside; None where there is no library."""
        with self._lock:
            if self._connection is None:
                if self._folder is None or not exists(self._folder):
                    yield None
                    return
                self._connection = connect(self._folder)
            self._connection.execute("begin")
            try:
                (version,) = self._connection.execute("pragma data_version").fetchone()
                if version != self._version:
                    self._texts.cache_clear()
                    self._state = _load(self._connection, self._embedder.digest)
                    self._version = version
                yield self._state
            finally:
                self._connection.execute("rollback")

    def _execute(self, query: str, values: Sequence[object]) -> list[Any]:
        assert self._connection is not None
        return self._connection.execute(query, values).fetchall()

    def _rows_of(self, word: str, limit: int) -> list[Any]:
        return self._execute(
            "select rowid from words where words match ? limit ?", (_quoted(word), limit)
        )

    def _worded(self, state: _State, words: Iterable[str]) -> list[int]:
        """Rows of the passages that BM25 puts first, by the words that tell passages apart."""
        rare = [word for word in words if len(self._rows_of(word, _COMMON)) < _COMMON]
        wanted = " OR ".join(map(_quoted, rare))
        if not wanted:
            return []
        found = self._execute(
            f"select rowid from words where words match ? order by bm25(words, {_TITLE}, 1) limit ?",
            (wanted, _CANDIDATES),
        )
        return [int(row) for row in np.searchsorted(state.numbers, [n for (n,) in found])]

    def _holding(
        self, state: _State, words: Iterable[str], rows: Iterable[int]
    ) -> dict[int, list[str]]:
        """For each row, the words that its passage holds, in any inflection."""
        holding: dict[int, list[str]] = {row: [] for row in rows}
        row_of = {int(state.numbers[row]): row for row in holding}
        among = ",".join(map(str, row_of))
        for word in words:
            for (number,) in self._execute(
                f"select rowid from words where words match ? and rowid in ({among})",
                (_quoted(word),),
            ):
                holding[row_of[number]].append(word)
        return holding

    def _distinct(
        self, state: _State, ranked: Iterable[int]
    ) -> Iterator[tuple[int, Document, Provision]]:
        """Passages that say something, with what they say; of several versions of one, the first."""
        taken: list[int] = []
        for row in ranked:
            document, provision = self._place(int(state.numbers[row]))
            if only_lists(provision.title):
                continue
            segments = _quotable(document, provision)
            if segments and not any(_are_versions(state, row, other) for other in taken):
                taken.append(row)
                yield row, document, replace(provision, segments=segments)

    def _place(self, number: int) -> tuple[Document, Provision]:
        assert self._connection is not None
        ((owner,),) = self._execute("select document from passages where number = ?", (number,))
        document = self._texts(owner)
        return document, read_provision(self._connection, number, document)

    def _read_text(self, number: int) -> Document:
        assert self._connection is not None
        return read_text(self._connection, number)

    def _embed_sentences(self, sha256: str, texts: tuple[str, ...]) -> Vectors:
        return self._embedder.embed(texts)


def _load(connection: sqlite3.Connection, model: str) -> _State:
    documents = connection.execute("select number, id, model from documents order by number")
    sources, numbers_of = [], []
    for number, identifier, found in documents.fetchall():
        if found != model:
            raise LibraryError(
                f"{identifier} of the library was embedded by another model ({found}). "
                "Run `safety-assistant refresh`."
            )
        sources.append(read_source(connection, number))
        numbers_of.append(number)
    passages = connection.execute(
        "select number, document, held != '' from passages order by document, number"
    )
    table = np.array(passages.fetchall(), np.int64).reshape(-1, 3)
    blobs = connection.execute("select vectors from documents order by number")
    flat = np.frombuffer(b"".join(blob for (blob,) in blobs), np.float32)
    return _State(
        sources=sources,
        vectors=flat.reshape(len(table), -1) if len(table) else flat.reshape(0, 0),
        numbers=table[:, 0],
        owners=np.searchsorted(numbers_of, table[:, 1]),
        held=table[:, 2].astype(bool),
    )


def _quotable(document: Document, provision: Provision) -> tuple[Segment, ...]:
    """What a passage says; what it asks only if it does nothing else, as a checklist."""
    said = [s for s in provision.segments if says_something(document.quote(s))]
    stated = [s for s in said if not document.quote(s).endswith("?")]
    return tuple(stated or said)


def _are_versions(state: _State, row: int, other: int) -> bool:
    """Whether two documents of a collection hold a passage in nearly the same words."""
    one, two = state.owners[row], state.owners[other]
    collections = {state.sources[owner].id.partition("/")[0] for owner in (one, two)}
    same = float(state.vectors[row] @ state.vectors[other]) > _SAME
    return bool(one != two) and len(collections) == 1 and same


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
