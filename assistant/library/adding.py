"""Files -> documents of the library: what each needs is found out, read, cut, embedded and stored.

Files are read one by one and embedded some hundred passages at a time, sorted by length; then each
is stored in a transaction of its own. What is in memory does not depend on how many files there are.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from assistant.documents.extracted import Extracted
from assistant.documents.reading import Limits, Reader
from assistant.embedding import Embedder, Vectors
from assistant.errors import FileRefused, LibraryError
from assistant.library.metadata import SIDECAR, Metadata, describe, sidecar
from assistant.library.outliers import REASON, outliers
from assistant.library.passages import Passage, cut
from assistant.library.store import NewDocument, Store, Written
from assistant.questions import named_concerns
from assistant.taxonomy import Taxonomy

State = Literal["added", "replaced", "alias", "unchanged", "gone", "failed"]
Progress = Callable[[str, int, int], None]
STATES: tuple[State, ...] = get_args(State)
_TOGETHER = 512
"""Passages embedded at once: enough that batches of like length are full."""
_SAMPLE = 64
_AHEAD_FILES = 256
_AHEAD_BYTES = 8 * 2**20
"""How far reading may be ahead of embedding, so that neither waits and memory is bounded."""
_STAGE = "Reading and embedding"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file, or would: detail says why it failed, or whose content it has.

    A file that is "gone" was added before; its document is kept as it was read.

    document: the id, "" where there is none. passages, held: how many, and of them in quarantine.
    """

    path: Path
    state: State
    detail: str = ""
    document: str = ""
    passages: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, file by file; seconds: how long it took, of a dry run how long it would."""

    outcomes: tuple[Outcome, ...]
    seconds: float
    dry_run: bool = False

    def count(self, state: State) -> int:
        """How many files ended so."""
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def failed(self) -> bool:
        """Whether any file did."""
        return self.count("failed") > 0


@dataclass(frozen=True, slots=True)
class Job:
    """A file to be looked at, and what the caller says of it."""

    path: Path
    collection: str
    given: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read and waits for its vectors."""

    job: Job
    extracted: Extracted = field(repr=False)
    metadata: Metadata
    passages: list[Passage] = field(repr=False)

    def texts(self) -> list[str]:
        """What is embedded, one for each passage: as with provisions, under its title."""
        text = self.extracted.text
        return [f"{entry.title}\n{text[entry.start : entry.stop]}" for entry in self.passages]


def files_under(paths: Iterable[Path]) -> list[Path]:
    """The files that paths name, those of folders in order; hidden ones and sidecars are left out.

    Raises LibraryError for a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        absolute = path.resolve()
        if not absolute.exists():
            raise LibraryError(f"There is no {path}. Check the path.")
        for entry in _walk(absolute) if absolute.is_dir() else [absolute]:
            found[entry] = None
    return list(found)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(SIDECAR):
                yield Path(root) / name


class Adder:
    """Brings files into a store; one run.

    shipped: vectors of the corpus' texts; without them, passages are not compared with each other.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        taxonomy: Taxonomy,
        max_chars: int,
        shipped: Vectors | None = None,
        progress: Progress | None = None,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self._store, self._embedder, self._taxonomy = store, embedder, taxonomy
        self._max_chars, self._limits = max_chars, limits
        self._shipped = shipped
        self._progress = progress or (lambda stage, done, total: None)

    def run(self, jobs: list[Job]) -> Report:
        """Add, replace or leave as it is; a file that cannot be read never stops the others."""
        begun = time.perf_counter()
        outcomes: list[Outcome] = []
        waiting: list[_Read] = []
        for result in self._looked_at(jobs, dry_run=False):
            if isinstance(result, Outcome):
                outcomes.append(result)
                continue
            waiting.append(result)
            if sum(len(entry.passages) for entry in waiting) >= _TOGETHER:
                outcomes += self._store_all(waiting)
                waiting = []
        outcomes += self._store_all(waiting)
        order = {job.path: place for place, job in enumerate(jobs)}
        outcomes.sort(key=lambda outcome: order[outcome.path])
        return Report(tuple(outcomes), time.perf_counter() - begun)

    def rehearse(self, jobs: list[Job]) -> Report:
        """What ``run`` would do; its time from that of reading, and of embedding some passages."""
        begun = time.perf_counter()
        outcomes: list[Outcome] = []
        sample: list[str] = []
        chars = 0
        seen: dict[tuple[str, str], str] = {}
        for result in self._looked_at(jobs, dry_run=True):
            if isinstance(result, Outcome):
                outcomes.append(result)
                continue
            collection, path = result.job.collection, result.job.path
            twin = seen.setdefault((collection, result.extracted.sha256), str(path))
            if twin != str(path):
                outcomes.append(Outcome(path, "alias", f"same content as {twin}"))
                continue
            texts = result.texts()
            chars += sum(map(len, texts))
            sample += texts[: max(0, _SAMPLE - len(sample))]
            before = self._store.document_of(collection, str(path))
            outcomes.append(_outcome(result, "replaced" if before else "added", ""))
        reading = time.perf_counter() - begun
        self._embedder.embed(sample)
        embedding = time.perf_counter() - begun - reading
        share = chars / max(1, sum(map(len, sample)))
        return Report(tuple(outcomes), reading + embedding * share, dry_run=True)

    def _looked_at(self, jobs: list[Job], dry_run: bool) -> Iterator[Outcome | _Read]:
        """Each file read, or what became of it without; progress is counted in bytes."""
        total, done = sum(_size(job.path) for job in jobs), 0
        self._progress(_STAGE, done, total)
        for job, result in self._in_turn(jobs, dry_run):
            yield result
            done += _size(job.path)
            self._progress(_STAGE, done, total)

    def _in_turn(self, jobs: list[Job], dry_run: bool) -> Iterator[tuple[Job, Outcome | _Read]]:
        """Each job with its result; some files are read ahead, while the caller embeds."""
        waiting: deque[tuple[Job, Future[Extracted]]] = deque()
        sizes: deque[int] = deque()
        with Reader(self._limits) as reader, ThreadPoolExecutor(1) as ahead:
            try:
                for job in jobs:
                    try:
                        known = self._known(job, dry_run)
                    except LibraryError as error:
                        known = _failed(job, error)
                    if known is not None:
                        yield job, known
                        continue
                    waiting.append((job, ahead.submit(reader.read, job.path)))
                    sizes.append(_size(job.path))
                    while len(sizes) > 1 and (
                        len(sizes) > _AHEAD_FILES or sum(sizes) > _AHEAD_BYTES
                    ):
                        sizes.popleft()
                        yield self._read(*waiting.popleft())
                while waiting:
                    yield self._read(*waiting.popleft())
            finally:
                ahead.shutdown(wait=False, cancel_futures=True)

    def _known(self, job: Job, dry_run: bool) -> Outcome | None:
        """What becomes of a file whose content is there already; None if it has to be read."""
        path = str(job.path)
        digest = _digest(job.path, self._limits.input_bytes)
        identifier = digest and self._store.holder_of(job.collection, digest)
        if not digest or not identifier:
            return None
        own = self._store.document_of(job.collection, path)
        metadata = self._redescribed(job, identifier)
        if not dry_run:
            if self._store.name(job.collection, path, digest, job.given) is None:
                return None
            if metadata is not None and own is not None:
                self._store.describe(identifier, metadata)
        if own is None or own[0] != identifier:
            return Outcome(job.path, "alias", f"same content as {identifier}", identifier)
        if metadata is not None:
            return Outcome(job.path, "replaced", "metadata only", identifier)
        return Outcome(job.path, "unchanged", "", identifier)

    def _redescribed(self, job: Job, identifier: str) -> Metadata | None:
        """The metadata of a document that caller or sidecar now want otherwise, else None."""
        before = self._store.metadata_of(identifier)
        said = {**sidecar(job.path), **job.given}
        if before is None or not said:
            return None
        stated = {**asdict(before), "phase": ", ".join(before.phases)}
        if said.get("kind", before.kind) != before.kind:
            del stated["binding"]
        after = describe(said, stated, before.title, self._taxonomy)
        return after if after != before else None

    def _read(self, job: Job, reading: Future[Extracted]) -> tuple[Job, Outcome | _Read]:
        try:
            return job, self._cut(job, reading.result())
        except FileRefused as error:
            return job, Outcome(job.path, "failed", str(error))
        except LibraryError as error:
            return job, _failed(job, error)

    def _cut(self, job: Job, extracted: Extracted) -> _Read:
        stated = {**extracted.metadata, **sidecar(job.path)}
        metadata = describe(job.given, stated, extracted.title or job.path.stem, self._taxonomy)
        passages = cut(replace(extracted, title=metadata.title), self._max_chars)
        if not passages:
            raise FileRefused(
                job.path, "no-text", "holds nothing but headings", "Leave it out or add text to it"
            )
        return _Read(job, extracted, metadata, passages)

    def _store_all(self, waiting: list[_Read]) -> list[Outcome]:
        texts = [text for entry in waiting for text in entry.texts()]
        vectors = self._embedder.embed(texts)
        outcomes = []
        first = 0
        for entry in waiting:
            last = first + len(entry.passages)
            entry = self._without_outliers(entry, vectors[first:last])
            new = NewDocument(
                path=str(entry.job.path),
                collection=entry.job.collection,
                given=entry.job.given,
                extracted=entry.extracted,
                metadata=entry.metadata,
                passages=entry.passages,
                concerns=[named_concerns(text, self._taxonomy) for text in texts[first:last]],
                vectors=vectors[first:last],
                model=self._embedder.digest,
            )
            outcomes.append(_stored(entry, self._store.put(new)))
            first = last
        return outcomes

    def _without_outliers(self, entry: _Read, vectors: Vectors) -> _Read:
        """The file, with those passages in quarantine that have nothing to do with the others."""
        if self._shipped is None:
            return entry
        passages = list(entry.passages)
        for place in outliers(vectors, self._shipped):
            passages[place] = replace(passages[place], held=passages[place].held or REASON)
        return replace(entry, passages=passages)


def _failed(job: Job, error: LibraryError) -> Outcome:
    """What became of a file for a reason that does not name it."""
    return Outcome(job.path, "failed", f"{job.path}: {error}")


def _stored(entry: _Read, written: Written) -> Outcome:
    if written.outcome == "alias":
        detail = f"same content as {written.id}"
        return Outcome(entry.job.path, "alias", detail, written.id)
    if written.outcome == "unchanged":
        return Outcome(entry.job.path, "unchanged", "", written.id)
    return _outcome(entry, "replaced" if written.outcome == "replaced" else "added", written.id)


def _outcome(entry: _Read, state: State, identifier: str) -> Outcome:
    held = sum(bool(passage.held) for passage in entry.passages)
    return Outcome(entry.job.path, state, "", identifier, len(entry.passages), held)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path, most: int) -> str | None:
    """The sha256 of a file's bytes; None for what the reader is to refuse with its reason."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= most:
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
