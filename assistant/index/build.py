"""Building an index; embeds only texts that the generation in use does not hold yet."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np

from assistant.documents import Corpus
from assistant.embedding import Embedder, Vectors, prepare_embedder
from assistant.errors import IndexBusy, IndexDamaged, IndexFailure, IndexUnwritable
from assistant.index.lexical import write_lexical
from assistant.index.manifest import FORMAT, FileMark, Manifest, damaged
from assistant.index.reader import open_index, pointed_at, read_generation
from assistant.index.rows import Row, corpus_rows, text_key
from assistant.index.store import VectorStore, stored_records
from assistant.recipe import read_recipe
from assistant.settings import Settings
from assistant.taxonomy import BINDINGS

Progress = Callable[[str, int, int], None]
_PREFIX = "generation-"
_PARTIAL = "partial-"
_LITTLE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did: texts embedded now, texts whose vectors were at hand, and the counts."""

    embedded: int
    reused: int
    manifest: Manifest

    @property
    def changed(self) -> bool:
        """Whether a new generation was made."""
        return bool(self.embedded or self.reused)


def build_index(
    corpus: Corpus,
    settings: Settings,
    progress: Progress | None = None,
    fresh: bool = False,
    embedder: Embedder | None = None,
) -> BuildReport:
    """Bring the index up to date with the corpus; ``fresh`` builds it from nothing.

    ``progress`` is called with a stage's name, the steps done and the steps in all. ``embedder``
    stands in for the one that the settings name.

    Raises IndexBusy if another build does not end within ``settings.lock_timeout_s``,
    IndexUnwritable if the cache cannot be written. The index in use stays as it was until the new
    one is complete.
    """
    report = progress or (lambda stage, done, total: None)
    with _writing(settings.cache), _locked(settings):
        _remove_partial(settings.cache)
        report("Preparing the embedding model", 0, 1)
        recipe = read_recipe(settings.recipe)
        if embedder is None:
            embedder = prepare_embedder(settings.embedding_model, recipe.model, settings.cache)
            prepare_embedder(settings.embedding_model, recipe.questions, settings.cache)
        report("Preparing the embedding model", 1, 1)
        if not fresh:
            try:
                with open_index(corpus, settings, embedder) as current:
                    return BuildReport(0, 0, current.manifest)
            except IndexFailure:
                pass
        job = _Build(corpus, settings, recipe.max_chars, embedder, report)
        previous = None if fresh else _reusable(settings.cache, embedder.digest)
        try:
            return job.run(previous)
        except IndexDamaged:
            if previous is None:
                raise
            return job.run(None)


@dataclass(frozen=True)
class _Build:
    """One build, under the lock."""

    corpus: Corpus
    settings: Settings
    max_chars: int
    embedder: Embedder
    progress: Progress

    def run(self, previous: Path | None) -> BuildReport:
        """Make a generation, query it, swap it in; IndexDamaged if it does not answer."""
        cache = self.settings.cache
        target = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=cache))
        try:
            rows = list(corpus_rows(self.corpus, self.max_chars))
            texts = {row.key: row.text for row in rows}
            uncovered = {text_key(question): question for question in self.corpus.uncovered}
            vectors, embedded = _embed(
                texts | uncovered, _known_vectors(previous), self.embedder, self.progress
            )
            keys = list(vectors)
            np.save(target / "vectors.npy", np.stack([vectors[key] for key in keys]))
            (target / "keys.json").write_text(json.dumps(keys), encoding="utf-8")
            place = {key: number for number, key in enumerate(keys)}
            np.save(target / "rows.npy", np.array([place[row.key] for row in rows], np.int32))
            own = sorted({place[row.key] for row in rows if row.part != "asked"})
            np.save(target / "own.npy", np.array(own, np.int32))
            np.save(target / "uncovered.npy", np.array([place[key] for key in uncovered], np.int32))
            stored = [record.id for record in stored_records(self.corpus, rows)]
            (target / "records.json").write_text(json.dumps(stored), encoding="utf-8")
            write_lexical(target / "lexical.sqlite3", lexical_rows(self.corpus))
            records = self._write_store(rows, vectors, target / "chroma", previous)
            model, recipe = self.embedder.digest, self.settings.recipe
            marks = _marks(target)
            manifest = Manifest.of(self.corpus, recipe, model, rows, records, marks)
            manifest.write(target / "manifest.json")
            read_generation(target, manifest, self.corpus, self.max_chars).close()
            _swap(cache, target)
            return BuildReport(embedded, len(vectors) - embedded, manifest)
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def _write_store(
        self, rows: list[Row], vectors: dict[str, Vectors], folder: Path, previous: Path | None
    ) -> dict[str, int]:
        """Fill the vector store, from a copy of the previous one if there is one; count records."""
        if previous is not None:
            _copy_store(previous / "chroma", folder)
        records = list(stored_records(self.corpus, rows))
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self.progress("Writing the vector store", done, len(records))

        counts = {}
        store = VectorStore(folder, create=True)
        try:
            for binding in BINDINGS:
                chosen = {entry.id: entry for entry in records if entry.source.binding == binding}
                store.replace(binding, chosen, lambda row: vectors[row.key], advance)
                counts[binding] = len(chosen)
        finally:
            store.close()
        _settle(folder, next(iter(vectors.values())))
        return counts


def _settle(folder: Path, vector: Vectors) -> None:
    """Open and query a store once, so that Chroma writes what it writes when it is first opened."""
    store = VectorStore(folder)
    try:
        for binding in BINDINGS:
            store.nearest(binding, vector[None], 1)
    finally:
        store.close()


def _marks(target: Path) -> dict[str, FileMark]:
    """Marks of all files but Chroma's database, which every opening writes to."""
    files = sorted(path for path in target.rglob("*") if path.is_file())
    return {
        str(path.relative_to(target)): FileMark.of(path)
        for path in files
        if not path.name.startswith("chroma.sqlite3")
    }


def _copy_store(source: Path, target: Path) -> None:
    """Copy a store that somebody may have open: its database by SQLite's own backup."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("chroma.sqlite3*"))
    there = sqlite3.connect(source / "chroma.sqlite3")
    here = sqlite3.connect(target / "chroma.sqlite3")
    try:
        there.backup(here)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise damaged(str(error)) from error
    finally:
        there.close()
        here.close()


def _reusable(cache: Path, model: str) -> Path | None:
    """The generation in use, if its vectors are of this model and its files are as written."""
    folder = pointed_at(cache)
    if folder is None:
        return None
    try:
        manifest = Manifest.read(folder / "manifest.json")
    except IndexDamaged:
        return None
    sound = all(mark.holds(folder / name) for name, mark in manifest.files.items())
    same = manifest.model == model and manifest.format == FORMAT
    return folder if sound and same else None


def _embed(
    wanted: Mapping[str, str], known: Mapping[str, Vectors], embedder: Embedder, progress: Progress
) -> tuple[dict[str, Vectors], int]:
    """Vectors of texts by key, and how many were not known."""
    missing = [key for key in wanted if key not in known]
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("Embedding", done, len(missing))

    progress("Embedding", 0, len(missing))
    fresh = embedder.embed([wanted[key] for key in missing], advance)
    found = {key: known[key] for key in wanted if key in known}
    found.update(zip(missing, fresh, strict=True))
    return {key: found[key] for key in wanted}, len(missing)


def shipped_vectors(cache: Path, model: str) -> Vectors | None:
    """The vectors of the corpus' own texts in the index in use, without what developers ask.

    None if there is no index of this model.
    """
    generation = _reusable(cache, model)
    if generation is None:
        return None
    vectors: Vectors = np.load(generation / "vectors.npy", mmap_mode="r")
    own: Vectors = vectors[np.load(generation / "own.npy")]
    return own


def _known_vectors(previous: Path | None) -> dict[str, Vectors]:
    """Vectors of the previous generation by key."""
    if previous is None:
        return {}
    keys = json.loads((previous / "keys.json").read_text("utf-8"))
    return dict(zip(keys, np.load(previous / "vectors.npy"), strict=True))


def lexical_rows(corpus: Corpus) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The texts of each provision in the order of lexical.FIELDS, by provision number."""
    for number, provision in enumerate(corpus.provisions):
        document = corpus.by_source[provision.source_id]
        body = " ".join(document.quote(segment) for segment in provision.segments)
        source = f"{document.source.title} {document.source.publisher}"
        asks, asked = provision.asks, corpus.asked.get(provision.id, ())
        yield (
            number,
            (
                provision.locator,
                provision.title,
                " ".join(asks),
                body,
                source,
                " ".join(asked),
            ),
        )


def _swap(cache: Path, target: Path) -> None:
    """Make a complete generation the one in use, and remove all but the one used before it."""
    _flush(target)
    before = pointed_at(cache)
    final = cache / target.name.replace(_PARTIAL, _PREFIX, 1)
    target.replace(final)
    pointer = cache / "current.new"
    pointer.write_text(final.name, encoding="utf-8")
    pointer.replace(cache / "current")
    for folder in cache.glob(_PREFIX + "*"):
        if folder not in (final, before):
            shutil.rmtree(folder, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Have the system write all files of a folder to the disk, so that a power cut finds them."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _remove_partial(cache: Path) -> None:
    for folder in cache.glob(_PARTIAL + "*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    settings.cache.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(settings.cache / "build.lock", timeout=settings.lock_timeout_s):
            yield
    except filelock.Timeout as error:
        raise IndexBusy(
            f"Another process has been building the index for {settings.lock_timeout_s:g} s. "
            "Wait for it to end, then ask again."
        ) from error


@contextmanager
def _writing(cache: Path) -> Iterator[None]:
    """Turn the ways in which a folder cannot be written into IndexUnwritable."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise IndexUnwritable(
            f"The index cannot be written to {cache}: {_reason(cache, error)}. Free some space, make "
            "the folder writable, or name another one in SAFETY_ASSISTANT_CACHE."
        ) from error


def _reason(cache: Path, error: Exception) -> str:
    code = getattr(error, "errno", None)
    full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "full" in str(error)
    existing = next((path for path in (cache, *cache.parents) if path.is_dir()), Path("/"))
    if full or (code is None and shutil.disk_usage(existing).free < _LITTLE_BYTES):
        return "the disk is full"
    return str(error)
