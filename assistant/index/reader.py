"""An open index, for reading."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from types import TracebackType

import numpy as np

from assistant.documents import Corpus
from assistant.embedding import Embedder, Vectors
from assistant.errors import IndexFailure, IndexMissing
from assistant.index.lexical import Lexical
from assistant.index.manifest import Manifest, damaged
from assistant.index.rows import PARTS, STORED, Part, row_counts
from assistant.index.store import VectorStore, batches
from assistant.recipe import read_recipe
from assistant.settings import Settings
from assistant.taxonomy import BINDINGS

MISSED = 0.01
"""The share of a collection's records that its graph may miss, being approximate."""
_SAME = 0.999
"""The cosine from which on two vectors are the same but for rounding."""
_PROBED = 20


@dataclass
class Index:
    """One generation of the index. Reading is safe from several threads.

    vectors: unit vectors of distinct texts, shape (texts, dimension). rows_of: for each provision, by
    its number, the rows of its texts in ``vectors``. records: for each record of the vector store the
    number of its provision and its row in ``vectors``. uncovered: unit vectors of the questions that no
    provision answers, shape (questions, dimension).
    """

    corpus: Corpus
    manifest: Manifest
    store: VectorStore
    lexical: Lexical
    vectors: Vectors
    rows_of: list[dict[Part, list[int]]]
    records: dict[str, tuple[int, int]]
    uncovered: Vectors
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
            keys = json.loads((folder / "records.json").read_text("utf-8"))
            rows_of, records = _placed(rows, keys, row_counts(corpus, max_chars))
            uncovered = vectors[np.load(folder / "uncovered.npy")]
            lexical = Lexical(folder / "lexical.sqlite3")
        except (OSError, ValueError, LookupError, TypeError, EOFError, sqlite3.Error) as error:
            raise damaged(f"{type(error).__name__}: {error}") from error
        opened.callback(lexical.close)
        store = VectorStore(_writable(folder / "chroma", opened))
        opened.callback(store.close)
        index = Index(
            corpus, manifest, store, lexical, vectors, rows_of, records, uncovered, opened
        )
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
    rows: list[int], keys: list[str], counts: Iterable[tuple[int, int, int, int]]
) -> tuple[list[dict[Part, list[int]]], dict[str, tuple[int, int]]]:
    """Deal rows and records, which stand in the order of the corpus, to the provisions."""
    rows_of: list[dict[Part, list[int]]] = []
    records: dict[str, tuple[int, int]] = {}
    row = key = 0
    for number, lengths in enumerate(counts):
        bounds = list(accumulate(lengths, initial=row))
        parts = (rows[start:stop] for start, stop in pairwise(bounds))
        mine = dict(zip(PARTS, parts, strict=True))
        rows_of.append(mine)
        stored = [place for part in STORED for place in mine[part]]
        for name, place in zip(keys[key : key + len(stored)], stored, strict=True):
            records[name] = number, place
        row, key = bounds[-1], key + len(stored)
    if (row, key) != (len(rows), len(keys)):
        raise ValueError("rows and records do not fit the corpus")
    return rows_of, records


def _probe(index: Index) -> None:
    """Ask each part something whose answer is known: damage shows only when it is queried."""
    for binding, records in _by_binding(index).items():
        if not records:  # asking an emptied collection makes Chroma write its files anew
            continue
        if index.store.count(binding) != index.manifest.records[binding]:
            raise damaged(f"the vector store does not hold all {binding} records")
        first = records[:_PROBED]
        if len(_missed(index, binding, first)) == len(first):
            raise damaged(f"no {binding} record is found by its own vector")
    try:
        if index.lexical.count() != index.manifest.provisions:
            raise damaged("the lexical index is not complete")
    except sqlite3.Error as error:
        raise damaged(str(error)) from error


def _by_binding(index: Index) -> dict[str, list[str]]:
    """The records of each collection, in the order of the corpus."""
    provisions, documents = index.corpus.provisions, index.corpus.by_source
    found: dict[str, list[str]] = {binding: [] for binding in BINDINGS}
    for key, (number, _) in index.records.items():
        found[documents[provisions[number].source_id].source.binding].append(key)
    return found


def _missed(index: Index, binding: str, keys: Sequence[str]) -> list[str]:
    """Those of the records that a collection does not find by their own vectors."""
    vectors = index.vectors[[index.records[key][1] for key in keys]]
    return [
        key
        for key, found in zip(keys, index.store.nearest(binding, vectors, 1), strict=True)
        if not found or found[0][1] < _SAME
    ]


def verify_index(index: Index) -> list[str]:
    """Check an open index in full; returns the problems found, none if it is sound.

    The vector store holds each passage and question with the vector of its text and finds it by
    that, but for the few that an approximate search may miss (at most MISSED of a collection), every
    vector has length 1, and the lexical index holds every provision.
    """
    lengths = np.linalg.norm(index.vectors, axis=1)
    wrong = int((~(abs(lengths - 1) <= 1e-3)).sum())
    problems = [f"{wrong} vectors are not of length 1"] if wrong else []
    provisions = index.corpus.provisions
    for binding, records in _by_binding(index).items():
        missed, others = 0, dict[str, None]()
        for batch in batches(records):
            missed += len(_missed(index, binding, batch))
            held = index.store.vectors(binding, batch)
            for key in batch:
                number, row = index.records[key]
                if key not in held or not held[key] @ index.vectors[row] >= _SAME:
                    others[provisions[number].id] = None
        problems += [f"{id} has a record whose vector is not that of its text" for id in others]
        if missed > MISSED * len(records):
            problems.append(f"{missed} of {len(records)} {binding} records are not found")
    if index.lexical.count() != len(provisions):
        problems.append("the lexical index is not complete")
    return problems
