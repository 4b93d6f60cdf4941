"""Building an index; embeds only texts that the generation in use does not hold yet."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np

from assistant.documents import Corpus
from assistant.embedding import Embedder, Vectors, prepare_embedder, read_model_recipe
from assistant.errors import IndexBusy, IndexDamaged, IndexFailure, IndexUnwritable
from assistant.index.lexical import write_lexical
from assistant.index.manifest import Manifest
from assistant.index.reader import open_index, pointed_at
from assistant.index.rows import Row, corpus_rows, read_max_chars
from assistant.index.store import VectorStore, stored_records
from assistant.settings import Settings
from assistant.taxonomy import BINDINGS

Progress = Callable[[str, int, int], None]
_PREFIX = "generation-"
_PARTIAL = "partial-"


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
        report("Preparing the embedding model", 0, 1)
        if embedder is None:
            model = read_model_recipe(settings.recipe)
            embedder = prepare_embedder(settings.embedding_model, model, settings.cache)
        report("Preparing the embedding model", 1, 1)
        if not fresh:
            try:
                current = open_index(corpus, settings, embedder)
            except IndexFailure:
                pass
            else:
                with current:
                    return BuildReport(0, 0, current.manifest)
        return _build(corpus, settings, embedder, report, fresh)


def _build(
    corpus: Corpus, settings: Settings, embedder: Embedder, progress: Progress, fresh: bool
) -> BuildReport:
    _remove_partial(settings.cache)
    target = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=settings.cache))
    previous = None if fresh else pointed_at(settings.cache)
    try:
        rows = list(corpus_rows(corpus, read_max_chars(settings.recipe)))
        known = _known_vectors(previous, embedder.digest)
        vectors, embedded = _embed(rows, known, embedder, progress)
        keys = list(vectors)
        np.save(target / "vectors.npy", np.stack([vectors[key] for key in keys]))
        (target / "keys.json").write_text(json.dumps(keys), encoding="utf-8")
        write_lexical(target / "lexical.sqlite3", lexical_rows(corpus))
        records = _write_store(corpus, rows, vectors, target / "chroma", previous, progress)
        manifest = Manifest.of(corpus, settings.recipe, embedder.digest, rows, records)
        manifest.write(target / "manifest.json")
        _swap(settings.cache, target)
        return BuildReport(embedded, len(vectors) - embedded, manifest)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _embed(
    rows: list[Row], known: dict[str, Vectors], embedder: Embedder, progress: Progress
) -> tuple[dict[str, Vectors], int]:
    wanted = {row.key: row.text for row in rows}
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


def _write_store(
    corpus: Corpus,
    rows: list[Row],
    vectors: dict[str, Vectors],
    folder: Path,
    previous: Path | None,
    progress: Progress,
) -> dict[str, int]:
    """Fill the vector store, from a copy of the previous one where that is sound; count records."""
    if previous is not None and _sound(previous / "chroma"):
        shutil.copytree(previous / "chroma", folder)
    store = VectorStore(folder, create=True)
    records = list(stored_records(corpus, rows))
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("Writing the vector store", done, len(records))

    counts = {}
    try:
        for binding in BINDINGS:
            chosen = {entry.id: entry for entry in records if entry.source.binding == binding}
            store.replace(binding, chosen, lambda row: vectors[row.key], advance)
            counts[binding] = len(chosen)
        return counts
    finally:
        store.close()


def _sound(chroma: Path) -> bool:
    """Whether a store of vectors can be opened and queried, so that a copy is worth keeping."""
    try:
        store = VectorStore(chroma)
    except IndexDamaged:
        return False
    try:
        for binding in BINDINGS:
            store.ids(binding)
        return True
    except IndexDamaged:
        return False
    finally:
        store.close()


def _known_vectors(previous: Path | None, model: str) -> dict[str, Vectors]:
    """Vectors of the previous generation by key, if it is of the same model and readable."""
    if previous is None:
        return {}
    try:
        if Manifest.read(previous / "manifest.json").model != model:
            return {}
        keys = json.loads((previous / "keys.json").read_text("utf-8"))
        return dict(zip(keys, np.load(previous / "vectors.npy"), strict=True))
    except (IndexDamaged, OSError, ValueError):
        return {}


def lexical_rows(corpus: Corpus) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The texts of each provision in the order of lexical.FIELDS, by provision number."""
    for number, provision in enumerate(corpus.provisions):
        document = corpus.by_source[provision.source_id]
        body = " ".join(document.quote(segment) for segment in provision.segments)
        source = f"{document.source.title} {document.source.publisher}"
        yield number, (provision.locator, provision.title, " ".join(provision.asks), body, source)


def _swap(cache: Path, target: Path) -> None:
    """Make a complete generation the one in use, and remove all but the one used before it."""
    before = pointed_at(cache)
    final = cache / target.name.replace(_PARTIAL, _PREFIX, 1)
    target.replace(final)
    pointer = cache / "current.new"
    pointer.write_text(final.name, encoding="utf-8")
    pointer.replace(cache / "current")
    for folder in cache.glob(_PREFIX + "*"):
        if folder not in (final, before):
            shutil.rmtree(folder, ignore_errors=True)


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
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if full or "disk" in str(error):
            reason, remedy = "the disk is full", "Free some space"
        else:
            reason, remedy = str(error), "Make it writable"
        raise IndexUnwritable(
            f"The index cannot be written to {cache}: {reason}. "
            f"{remedy}, or name another folder in SAFETY_ASSISTANT_CACHE."
        ) from error
