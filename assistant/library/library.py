"""The library as its user sees it: add, list, remove, refresh, release, export."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from assistant.documents.reading import Limits
from assistant.embedding import Embedder, prepare_embedder
from assistant.errors import LibraryError
from assistant.index import shipped_vectors
from assistant.library.adding import Adder, Job, Outcome, Progress, Report, files_under
from assistant.library.database import exists
from assistant.library.metadata import describe
from assistant.library.official import COLLECTION, Fetched, Fetcher, chosen, load_official
from assistant.library.store import Store
from assistant.library.stored import Held, LibraryDocument
from assistant.recipe import read_recipe
from assistant.settings import Settings
from assistant.taxonomy import Taxonomy, load_taxonomy
from assistant.types import Source

DEFAULT = "documents"
_ABANDONED_S = 3600
"""An upload so old is not being added any more."""
SHIPPED = "shipped"
"""The name under which the shipped corpus is included or left out beside collections."""
_COLLECTION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class Library:
    """A user's own documents. Opens its database for each call, so that it needs no closing.

    Several processes may use one library at once; each document is written in one step.
    """

    def __init__(self, settings: Settings, embedder: Embedder | None = None) -> None:
        self._settings, self._given = settings, embedder
        self._folder = settings.library

    @cached_property
    def _embedder(self) -> Embedder:
        settings = self._settings
        model = read_recipe(settings.recipe).model
        return self._given or prepare_embedder(settings.embedding_model, model, settings.cache)

    @cached_property
    def _taxonomy(self) -> Taxonomy:
        return load_taxonomy(self._settings.corpus / "taxonomy.yaml")

    @contextmanager
    def _store(self, dry_run: bool = False) -> Iterator[Store]:
        store = Store(None if dry_run and not exists(self._folder) else self._folder)
        try:
            yield store
        finally:
            store.close()

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        collection: str = DEFAULT,
        kind: str | None = None,
        binding: str | None = None,
        jurisdiction: str | None = None,
        phase: str | Sequence[str] | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
        limits: Limits = Limits(),  # noqa: B008
    ) -> Report:
        """Add files, and all files of folders; what is there already with this content is left.

        kind, binding, jurisdiction and phase win over what sidecars and the files themselves say.
        ``progress`` is called with a stage's name, the bytes done and in all.

        Raises LibraryError for a path that does not exist, an unknown value, or a library that
        cannot be written. A file that cannot be read is an outcome of the report, with the reason.
        """
        _check_collection(collection)
        phases = [phase] if isinstance(phase, str) else list(phase or ())
        choices = {
            "kind": kind,
            "binding": binding,
            "jurisdiction": jurisdiction,
            "phase": ", ".join(phases),
        }
        given = {key: value for key, value in choices.items() if value}
        describe({**given, "title": ""}, {}, "", self._taxonomy)
        jobs = [Job(path, collection, given) for path in files_under(map(Path, paths))]
        return self._run(jobs, dry_run, progress, limits)

    def add_bytes(
        self,
        name: str,
        data: bytes,
        *,
        collection: str = DEFAULT,
        kind: str | None = None,
        binding: str | None = None,
        jurisdiction: str | None = None,
        phase: str | Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Add what is no file of this machine, such as an upload, under a file's name.

        The bytes are kept in the library's folder until the document is removed, so that a name
        that is added again replaces what it held. Raises LibraryError as ``add`` does, for what
        cannot name a file, and if the bytes cannot be kept.
        """
        _check_collection(collection)
        target = self._kept / collection / Path(name).name
        try:
            if not Path(name).name.strip("."):
                raise ValueError("it names no file")
            before = target.read_bytes() if target.is_file() else None
            _write(target, data)
            taken = False
            try:
                report = self.add(
                    [target],
                    collection=collection,
                    kind=kind,
                    binding=binding,
                    jurisdiction=jurisdiction,
                    phase=phase,
                    progress=progress,
                )
                taken = not report.failed
            finally:
                if not taken and before is None:
                    target.unlink()
                elif not taken and before is not None:
                    _write(target, before)
        except (OSError, ValueError) as error:
            raise LibraryError(
                f"'{name[:200]}' cannot be kept ({error}). Use another name, or free the disk."
            ) from error
        return report

    @property
    def _kept(self) -> Path:
        """Where the bytes of uploads are."""
        return self._folder.resolve() / "files"

    def fetch(
        self,
        sources: Iterable[Source],
        *,
        progress: Progress | None = None,
        fetcher: Fetcher | None = None,
    ) -> tuple[list[Fetched], Report]:
        """Fetch the official texts of sources and add them to the collection "official".

        ``progress`` is called with a file's name or a stage, the bytes done and in all. Raises
        LibraryError for a source whose text may not be fetched; see Fetched for what goes wrong.
        """
        named = {source.id: source for source in sources}
        files = chosen(load_official(self._settings.corpus), named)
        fetcher = fetcher or Fetcher(self._settings.cache / COLLECTION)
        fetched = fetcher.fetch(files, progress)
        jobs = [
            Job(entry.path, COLLECTION, _as_official(named[entry.file.source_id], entry.file.url))
            for entry in fetched
            if entry.state != "failed"
        ]
        return fetched, self._run(jobs, False, progress, Limits())

    def refresh(self, *, progress: Progress | None = None) -> Report:
        """Read the files of all documents again, replacing those that changed.

        A file that is gone keeps its document. Vectors of another embedding model are made anew
        from the stored text.
        """
        if not exists(self._folder):
            return Report((), 0.0)
        self._sweep()
        with self._store() as store:
            jobs = [Job(Path(path), collection, given) for path, collection, given in store.given()]
            for identifier, texts in store.embedded_otherwise(self._embedder.digest):
                store.set_vectors(identifier, self._embedder.embed(texts), self._embedder.digest)
        there = [job for job in jobs if job.path.exists()]
        gone = [
            Outcome(job.path, "gone", "the text that was read of it is kept")
            for job in jobs
            if not job.path.exists()
        ]
        report = self._run(there, False, progress, Limits())
        return replace(report, outcomes=(*report.outcomes, *gone))

    def _run(
        self, jobs: list[Job], dry_run: bool, progress: Progress | None, limits: Limits
    ) -> Report:
        max_chars = read_recipe(self._settings.recipe).max_chars
        with self._store(dry_run) as store:
            shipped = shipped_vectors(self._settings.cache, self._embedder.digest)
            adder = Adder(
                store, self._embedder, self._taxonomy, max_chars, shipped, progress, limits
            )
            return adder.rehearse(jobs) if dry_run else adder.run(jobs)

    def documents(self, collection: str | None = None) -> list[LibraryDocument]:
        """The documents, by id; those of one collection if it is named."""
        if not exists(self._folder):
            return []
        with self._store() as store:
            return [d for d in store.documents() if collection in (None, d.collection)]

    def remove(
        self, names: Iterable[str] = (), *, collection: str | None = None
    ) -> list[LibraryDocument]:
        """Remove documents and take their text and vectors off the disk; returns what was removed.

        A name is a document's id, its file's path or its file's name. With ``collection`` alone the
        whole collection is removed, with both only what is in it. Raises LibraryError, removing
        nothing, for a name that no document has.
        """
        chosen = self._chosen(list(names), collection)
        if chosen:
            for path in (Path(name) for document in chosen for name in document.paths):
                if path.is_relative_to(self._kept):
                    path.unlink(missing_ok=True)
            with self._store() as store:
                store.remove(document.id for document in chosen)
            self._sweep()
        return chosen

    def _sweep(self) -> None:
        """Delete uploads that no document names, which a run that was killed left behind."""
        named = {name for document in self.documents() for name in document.paths}
        for path in self._kept.glob("*/*"):
            with suppress(FileNotFoundError):
                if str(path) not in named and time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()

    def _chosen(self, names: list[str], collection: str | None) -> list[LibraryDocument]:
        documents = self.documents(collection)
        if not names:
            if collection is not None and documents:
                return documents
            raise LibraryError(
                "Nothing is named that could be removed. `safety-assistant list` shows what there is."
            )
        chosen: dict[str, LibraryDocument] = {}
        for name in names:
            found = [document for document in documents if _named(document, name)]
            if not found:
                raise LibraryError(
                    f"No document is named '{name[:200]}'. `safety-assistant list` shows their names."
                )
            chosen.update((document.id, document) for document in found)
        return list(chosen.values())

    def quarantined(self) -> list[Held]:
        """The passages that are kept and not retrieved, because they look suspicious."""
        if not exists(self._folder):
            return []
        with self._store() as store:
            return store.quarantined()

    def release(self, names: Iterable[str]) -> list[Held]:
        """Let passages in quarantine be retrieved, by their ids or their documents' ids.

        Returns those that were released. Raises LibraryError for a name that holds none.
        """
        held = self.quarantined()
        chosen: dict[str, Held] = {}
        for name in names:
            found = [entry for entry in held if name in (entry.id, entry.id.partition("#")[0])]
            if not found:
                raise LibraryError(
                    f"Nothing in quarantine is named '{name[:200]}'. "
                    "`safety-assistant list --quarantined` shows the names."
                )
            chosen.update((entry.id, entry) for entry in found)
        if chosen:
            with self._store() as store:
                store.release(chosen)
        return list(chosen.values())

    def export(self, target: Path) -> int:
        """Write all documents with text, passages and metadata to a file, one JSON object a line.

        The file appears whole or not at all; returns how many documents it holds.
        """
        fresh = target.with_name(target.name + ".new")
        count = 0
        try:
            with self._store() as store, fresh.open("w", encoding="utf-8") as file:
                for entry in store.export():
                    file.write(json.dumps(entry, ensure_ascii=False) + "\n")
                    count += 1
            fresh.replace(target)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise LibraryError(
                f"{target} cannot be written: {error.strerror}. Choose another place."
            ) from error
        return count


def _check_collection(name: str) -> None:
    if not _COLLECTION.fullmatch(name) or name in (SHIPPED, COLLECTION):
        raise LibraryError(
            f"'{name[:80]}' cannot name a collection. Use lower-case letters, digits and "
            f"hyphens, and another word than '{SHIPPED}' and '{COLLECTION}'."
        )


def _write(target: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    try:
        fresh.write_bytes(data)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def _as_official(source: Source, url: str) -> dict[str, str]:
    """What the full text of a source counts as: the same as its digest."""
    return {
        "title": f"{source.title}, full text",
        "publisher": source.publisher,
        "kind": source.kind,
        "binding": source.binding,
        "jurisdiction": source.jurisdiction,
        "date": source.published,
        "version": source.version,
        "url": url,
    }


def _named(document: LibraryDocument, name: str) -> bool:
    path = str(Path(name).resolve())
    return name == document.id or any(
        entry == path or Path(entry).name == name for entry in document.paths
    )
