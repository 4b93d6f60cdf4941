"""An open index, for reading."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np

from assistant.documents import Corpus
from assistant.embedding import Embedder, Vectors
from assistant.errors import IndexFailure, IndexMissing
from assistant.index.lexical import Lexical
from assistant.index.manifest import Manifest, damaged
from assistant.index.rows import row_counts
from assistant.index.store import VectorStore
from assistant.recipe import read_recipe
from assistant.settings import Settings

_TWINS = 5
"""How many records may share a vector, as equal questions of several provisions do."""


@dataclass
class Index:
    """One generation of the index. Reading is safe from several threads.

    vectors: unit vectors of distinct texts, shape (texts, dimension). rows_of: for each provision,
    by its number, the rows of its passages, asks and sentences in ``vectors``. number_of_record:
    the provision of each record of the vector store.
    """

    corpus: Corpus
    manifest: Manifest
    store: VectorStore
    lexical: Lexical
    vectors: Vectors
    rows_of: list[dict[str, list[int]]]
    number_of_record: dict[str, int]
    resources: ExitStack

    @cached_property
    def number(self) -> dict[str, int]:
        """Provision id to its number: its place in ``corpus.provisions``."""
        return {provision.id: n for n, provision in enumerate(self.corpus.provisions)}

    def close(self) -> None:
        """Release files and threads."""
        self.resources.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def pointed_at(cache: Path) -> Path | None:
    """The folder of the generation in use, or None."""
    try:
        folder = cache / (cache / "current").read_text("utf-8").strip()
        return folder if folder.is_dir() and folder.parent == cache else None
    except (OSError, ValueError):
        return None


def open_index(corpus: Corpus, settings: Settings, embedder: Embedder) -> Index:
    """Open the index in use, after comparing it with corpus, recipe and model and querying it.

    Raises IndexMissing, IndexMismatch or IndexDamaged; each message names the command to run.
    """
    folder = pointed_at(settings.cache)
    if folder is None:
        raise IndexMissing(
            f"There is no index in {settings.cache} yet. Run `safety-assistant index build`."
        )
    try:
        return _open(folder, corpus, settings, embedder)
    except IndexFailure:
        # A build may have swapped the generation between reading the pointer and opening it.
        again = pointed_at(settings.cache)
        if again is None or again == folder:
            raise
        return _open(again, corpus, settings, embedder)


def _open(folder: Path, corpus: Corpus, settings: Settings, embedder: Embedder) -> Index:
    manifest = Manifest.read(folder / "manifest.json")
    manifest.require(corpus, settings.recipe, embedder.digest)
    return read_generation(folder, manifest, corpus, read_recipe(settings.recipe).max_chars)


def read_generation(folder: Path, manifest: Manifest, corpus: Corpus, max_chars: int) -> Index:
    """Open a generation's files and query them; raises IndexDamaged if anything is wrong.

    The files are compared with their marks first: Chroma's native code crashes on some damage.
    """
    for name, mark in manifest.files.items():
        if not mark.holds(folder / name):
            raise damaged(f"{name} is not as it was written")
    with ExitStack() as opened:
        try:
            vectors = np.load(folder / "vectors.npy")
            rows = np.load(folder / "rows.npy").tolist()
            records = json.loads((folder / "records.json").read_text("utf-8"))
            rows_of, number_of_record = _placed(rows, records, row_counts(corpus, max_chars))
            lexical = Lexical(folder / "lexical.sqlite3")
        except (OSError, ValueError, KeyError, TypeError, EOFError, sqlite3.Error) as error:
            raise damaged(f"{type(error).__name__}: {error}") from error
        opened.callback(lexical.close)
        store = VectorStore(_writable(folder / "chroma", opened))
        opened.callback(store.close)
        index = Index(corpus, manifest, store, lexical, vectors, rows_of, number_of_record, opened)
        _probe(index)
        index.resources = opened.pop_all()
    return index


def _writable(chroma: Path, opened: ExitStack) -> Path:
    """The store's folder, or a copy that lives as long as the index: Chroma writes when it opens."""
    if os.access(chroma, os.W_OK) and os.access(chroma / "chroma.sqlite3", os.W_OK):
        return chroma
    copy = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="safety-assistant-")))
    shutil.copytree(chroma, copy / "chroma", copy_function=shutil.copyfile)
    return copy / "chroma"


def _placed(
    rows: list[int], records: list[str], counts: Iterable[tuple[int, int, int]]
) -> tuple[list[dict[str, list[int]]], dict[str, int]]:
    """Deal rows and records, which stand in the order of the corpus, to the provisions."""
    rows_of: list[dict[str, list[int]]] = []
    number_of_record: dict[str, int] = {}
    row = record = 0
    for number, (passages, asks, segments) in enumerate(counts):
        bounds = row, row + passages, row + passages + asks, row + passages + asks + segments
        parts = (rows[start:stop] for start, stop in pairwise(bounds))
        rows_of.append(dict(zip(("passage", "ask", "segment"), parts, strict=True)))
        for key in records[record : record + passages + asks]:
            number_of_record[key] = number
        row, record = bounds[-1], record + passages + asks
    if (row, record) != (len(rows), len(records)):
        raise ValueError("rows and records do not fit the corpus")
    return rows_of, number_of_record


def _probe(index: Index) -> None:
    """Ask each part something whose answer is known: damage shows only when it is queried."""
    asked: set[str] = set()
    for number, provision in enumerate(index.corpus.provisions):
        binding = index.corpus.by_source[provision.source_id].source.binding
        if binding in asked:
            continue
        asked.add(binding)
        if index.store.count(binding) != index.manifest.records[binding]:
            raise damaged(f"the vector store does not hold all {binding} records")
        if not _finds_itself(index, number, binding):
            raise damaged(f"{provision.id} is not found by its own vector")
    try:
        if index.lexical.count() != index.manifest.provisions:
            raise damaged("the lexical index is not complete")
    except sqlite3.Error as error:
        raise damaged(str(error)) from error


def _finds_itself(index: Index, number: int, binding: str) -> bool:
    """Whether each passage and ask of a provision is found by its own vector."""
    rows = index.rows_of[number]
    return all(
        any(
            index.number_of_record.get(record) == number and cosine >= 0.999
            for record, cosine in index.store.nearest(binding, index.vectors[row], _TWINS)
        )
        for row in rows["passage"] + rows["ask"]
    )


def verify_index(index: Index) -> list[str]:
    """Check an open index in full; returns the problems found, none if it is sound.

    Every passage and ask is looked up in the vector store by its own vector, every vector has
    length 1, and the lexical index holds every provision.
    """
    lengths = np.linalg.norm(index.vectors, axis=1)
    wrong = int((~(abs(lengths - 1) <= 1e-3)).sum())
    problems = [f"{wrong} vectors are not of length 1"] if wrong else []
    for number, provision in enumerate(index.corpus.provisions):
        binding = index.corpus.by_source[provision.source_id].source.binding
        if not _finds_itself(index, number, binding):
            problems.append(f"{provision.id} is not found by its own vector")
    if index.lexical.count() != len(index.corpus.provisions):
        problems.append("the lexical index is not complete")
    return problems
