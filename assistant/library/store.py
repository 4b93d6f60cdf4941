"""The library's database: SQLite, written one document a transaction, and wiped of what is removed.

SQLite overwrites deleted rows with zeros (``secure_delete``). Its word index keeps deleted words
until it is merged, and the log keeps whole pages, so removing leaves the mark ``dirty`` in the
database until ``wipe`` has merged the one and emptied the other.
"""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from assistant.documents.extracted import Extracted
from assistant.embedding import Vectors
from assistant.errors import LibraryError
from assistant.library.metadata import Metadata
from assistant.library.passages import Passage
from assistant.types import Document, Page, Provision, Segment, Source

FILE = "library.sqlite3"
_FORMAT = 1
_WAIT_S = 60
_SCHEMA = """
create table documents(
    number integer primary key, id text not null unique, collection text not null,
    sha256 text not null, media text not null, added text not null, text text not null,
    pages text not null, metadata text not null, model text not null, vectors blob not null,
    unique(collection, sha256));
create table files(
    path text not null, collection text not null, given text not null,
    document integer not null references documents(number), primary key(collection, path));
create index files_of on files(document);
create table passages(
    number integer primary key, document integer not null references documents(number),
    locator text not null, title text not null, start integer not null, stop integer not null,
    segments text not null, concerns text not null, held text not null);
create unique index passages_of on passages(document, locator);
create virtual table words using fts5(title, body, content='', tokenize='porter unicode61');
create table notes(dirty integer not null);
insert into notes values (0);
"""


@dataclass(frozen=True, slots=True)
class LibraryDocument:
    """A document of the library, as it is listed.

    id: "collection/name", the source id of its citations. paths: the file it was read from, then
    others of the same content. pages: how many, 0 for a format without. passages, held: how many it
    has, and how many of them are in quarantine. added: date and time, ISO, UTC.
    """

    id: str
    collection: str
    title: str
    kind: str
    binding: str
    jurisdiction: str
    phases: tuple[str, ...]
    media: str
    paths: tuple[str, ...]
    pages: int
    passages: int
    held: int
    added: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Held:
    """A passage in quarantine: its id, why, and its text, which nobody has approved."""

    id: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a file: "added", "replaced", "alias" or "unchanged", and its document's id."""

    outcome: str
    id: str


@dataclass(frozen=True, slots=True)
class NewDocument:
    """All that is stored of a file; given: what the caller said of it.

    vectors: float32, shape (passages, dimension).
    """

    path: str
    collection: str
    given: Mapping[str, str]
    extracted: Extracted
    metadata: Metadata
    passages: Sequence[Passage]
    concerns: Sequence[tuple[str, ...]]
    vectors: Vectors
    model: str


def exists(folder: Path) -> bool:
    """Whether there is a library in a folder."""
    return (folder / FILE).is_file()


def connect(folder: Path | None) -> sqlite3.Connection:
    """Open the database of a folder, making it if need be; None: an empty one in memory.

    Raises LibraryError if that fails.
    """
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            folder / FILE if folder is not None else ":memory:",
            timeout=_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("pragma secure_delete = on")
            connection.execute("pragma foreign_keys = on")
            connection.execute("pragma temp_store = memory")
            if connection.execute("pragma user_version").fetchone()[0] == 0:
                _create(connection)
            connection.execute("pragma synchronous = normal")
            (found,) = connection.execute("pragma user_version").fetchone()
            if found != _FORMAT:
                raise LibraryError(
                    f"The library in {folder} was written by another version of this program. "
                    "Use that version, or name another folder in SAFETY_ASSISTANT_LIBRARY."
                )
        except BaseException:
            connection.close()
            raise
        return connection
    except (OSError, sqlite3.Error) as error:
        raise LibraryError(
            f"The library in {folder} cannot be opened: {error}. Make the folder writable, or name "
            "another one in SAFETY_ASSISTANT_LIBRARY."
        ) from error


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("pragma auto_vacuum = incremental")
    connection.execute("pragma journal_mode = wal")
    connection.execute("begin immediate")
    if connection.execute("pragma user_version").fetchone()[0] == 0:
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"pragma user_version = {_FORMAT}")
    connection.execute("commit")


class Store:
    """The database, for writing; several processes may hold one each."""

    def __init__(self, folder: Path | None) -> None:
        self._connection = connect(folder)

    def close(self) -> None:
        """Overwrite what was removed and close."""
        try:
            self.wipe()
        finally:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; waits for other writers. Raises LibraryError if it cannot be written."""
        try:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise
        except sqlite3.OperationalError as error:
            raise LibraryError(
                f"The library cannot be written: {error}. Free some space or make its folder "
                "writable, then run the command again; what was added before stays."
            ) from error

    def document_of(self, collection: str, path: str) -> tuple[str, str] | None:
        """The id and sha256 of the document that a file was read into, if any."""
        found = self._connection.execute(
            "select d.id, d.sha256 from files f join documents d on d.number = f.document "
            "where f.collection = ? and f.path = ?",
            (collection, path),
        ).fetchone()
        return found and (str(found[0]), str(found[1]))

    def holder_of(self, collection: str, sha256: str) -> str | None:
        """The id of the document of a collection with this content, if any."""
        found = self._connection.execute(
            "select id from documents where collection = ? and sha256 = ?", (collection, sha256)
        ).fetchone()
        return found and str(found[0])

    def name(
        self, collection: str, path: str, sha256: str, given: Mapping[str, str]
    ) -> Written | None:
        """Note that a file has the content of a document that is there, in one step.

        None if the document is no longer there.
        """
        with self._transaction() as write:
            if self.holder_of(collection, sha256) is None:
                return None
            return self._name(write, collection, path, sha256, given)

    def _name(
        self,
        write: sqlite3.Connection,
        collection: str,
        path: str,
        sha256: str,
        given: Mapping[str, str],
    ) -> Written:
        number, identifier = write.execute(
            "select number, id from documents where collection = ? and sha256 = ?",
            (collection, sha256),
        ).fetchone()
        before = self._link(write, collection, path, number, given)
        if before == number:
            return Written("unchanged", identifier)
        if before is not None:
            self._drop_unnamed(write, before)
        return Written("alias", identifier)

    def _link(
        self,
        write: sqlite3.Connection,
        collection: str,
        path: str,
        number: int,
        given: Mapping[str, str],
    ) -> int | None:
        """Make a path name a document; returns the one that it named before."""
        found = write.execute(
            "select document from files where collection = ? and path = ?", (collection, path)
        ).fetchone()
        write.execute(
            "insert into files(path, collection, document, given) values (?, ?, ?, ?) "
            "on conflict(collection, path) do update set document = excluded.document, "
            "given = excluded.given",
            (path, collection, number, json.dumps(dict(given))),
        )
        return found and int(found[0])

    def put(self, new: NewDocument) -> Written:
        """Store a document, in place of what its file held before, in one step."""
        with self._transaction() as write:
            if self.holder_of(new.collection, new.extracted.sha256):
                return self._name(write, new.collection, new.path, new.extracted.sha256, new.given)
            before = self.document_of(new.collection, new.path)
            identifier = None
            if before:
                (number,) = write.execute(
                    "select number from documents where id = ?", (before[0],)
                ).fetchone()
                write.execute(
                    "delete from files where collection = ? and path = ?",
                    (new.collection, new.path),
                )
                if self._drop_unnamed(write, number):
                    identifier = before[0]
            identifier = identifier or self._free_id(write, new)
            self._insert(write, identifier, new)
            return Written("replaced" if before else "added", identifier)

    def _insert(self, write: sqlite3.Connection, identifier: str, new: NewDocument) -> None:
        extracted = new.extracted
        number = write.execute(
            "insert into documents(id, collection, sha256, media, added, text, pages, metadata, "
            "model, vectors) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                identifier,
                new.collection,
                extracted.sha256,
                extracted.media,
                datetime.now(UTC).isoformat(timespec="seconds"),
                extracted.text,
                json.dumps([[page.start, page.number, page.label] for page in extracted.pages]),
                json.dumps(asdict(new.metadata)),
                new.model,
                new.vectors.astype(np.float32).tobytes(),
            ),
        ).lastrowid
        assert number is not None
        self._link(write, new.collection, new.path, number, new.given)
        for passage, concerns in zip(new.passages, new.concerns, strict=True):
            segments = [[entry.kind, entry.start, entry.stop] for entry in passage.segments]
            row = write.execute(
                "insert into passages(document, locator, title, start, stop, segments, concerns, "
                "held) values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    passage.locator,
                    passage.title,
                    passage.start,
                    passage.stop,
                    json.dumps(segments),
                    json.dumps(concerns),
                    passage.held,
                ),
            ).lastrowid
            body = extracted.text[passage.start : passage.stop]
            write.execute(
                "insert into words(rowid, title, body) values (?, ?, ?)",
                (row, passage.title, body),
            )

    def _free_id(self, write: sqlite3.Connection, new: NewDocument) -> str:
        base = f"{new.collection}/{_slug(Path(new.path).stem)}"
        taken = {
            identifier
            for (identifier,) in write.execute(
                "select id from documents where collection = ?", (new.collection,)
            )
        }
        return next(
            name
            for name in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3)))
            if name not in taken
        )

    def _drop_unnamed(self, write: sqlite3.Connection, number: int) -> bool:
        """Delete a document that no file names any more; whether it was."""
        if write.execute("select 1 from files where document = ?", (number,)).fetchone():
            return False
        self._drop(write, number)
        return True

    def _drop(self, write: sqlite3.Connection, number: int) -> None:
        (text,) = write.execute("select text from documents where number = ?", (number,)).fetchone()
        rows = write.execute(
            "select number, title, start, stop from passages where document = ?", (number,)
        ).fetchall()
        write.executemany(
            "insert into words(words, rowid, title, body) values ('delete', ?, ?, ?)",
            ((row, title, text[start:stop]) for row, title, start, stop in rows),
        )
        write.execute("delete from passages where document = ?", (number,))
        write.execute("delete from files where document = ?", (number,))
        write.execute("delete from documents where number = ?", (number,))
        write.execute("update notes set dirty = 1")

    def metadata_of(self, identifier: str) -> Metadata | None:
        """What a document counts as; None if it is not there."""
        found = self._connection.execute(
            "select metadata from documents where id = ?", (identifier,)
        ).fetchone()
        return found and _metadata(found[0])

    def given(self) -> list[tuple[str, str, dict[str, str]]]:
        """Every file: path, collection, and what the caller said of it when it was added."""
        rows = self._connection.execute("select path, collection, given from files order by rowid")
        return [(path, collection, json.loads(given)) for path, collection, given in rows]

    def describe(self, identifier: str, metadata: Metadata) -> None:
        """Change what a document counts as, in one step; the title it was indexed under stays."""
        with self._transaction() as write:
            write.execute(
                "update documents set metadata = ? where id = ?",
                (json.dumps(asdict(metadata)), identifier),
            )

    def remove(self, identifiers: Iterable[str]) -> None:
        """Delete documents, all in one step; ``wipe`` then takes their traces off the disk."""
        with self._transaction() as write:
            for identifier in identifiers:
                found = write.execute(
                    "select number from documents where id = ?", (identifier,)
                ).fetchone()
                if found:
                    self._drop(write, found[0])

    def release(self, identifiers: Iterable[str]) -> None:
        """Let passages in quarantine, by id, be retrieved."""
        with self._transaction() as write:
            for identifier in identifiers:
                document, _, locator = identifier.partition("#")
                write.execute(
                    "update passages set held = '' where locator = ? and document = "
                    "(select number from documents where id = ?)",
                    (locator, document),
                )

    def embedded_otherwise(self, model: str) -> list[tuple[str, list[str]]]:
        """Documents whose vectors are of another model: their ids and the texts to embed."""
        rows = self._connection.execute(
            "select number, id, text from documents where model != ?", (model,)
        )
        found = []
        for number, identifier, text in rows:
            passages = self._connection.execute(
                "select title, start, stop from passages where document = ? order by number",
                (number,),
            )
            found.append((identifier, [f"{t}\n{text[start:stop]}" for t, start, stop in passages]))
        return found

    def set_vectors(self, identifier: str, vectors: Vectors, model: str) -> None:
        """Replace the vectors of a document."""
        with self._transaction() as write:
            write.execute(
                "update documents set vectors = ?, model = ? where id = ?",
                (vectors.astype(np.float32).tobytes(), model, identifier),
            )
            write.execute("update notes set dirty = 1")

    def wipe(self) -> None:
        """Overwrite what was removed: merge the word index and empty the log, if there is need.

        A reader that does not end within a minute leaves it to the next run that writes.
        """
        (dirty,) = self._connection.execute("select dirty from notes").fetchone()
        if dirty:
            with self._transaction() as write:
                write.execute("insert into words(words) values ('optimize')")
            # Not execute: that takes a single step, which gives back a single page.
            self._connection.executescript("pragma incremental_vacuum")
        (busy, _, _) = self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        if dirty and not busy:
            with self._transaction() as write:
                write.execute("update notes set dirty = 0")
            self._connection.execute("pragma wal_checkpoint(truncate)")

    def documents(self) -> list[LibraryDocument]:
        """All documents, by id."""
        rows = self._connection.execute(
            "select d.number, d.id, d.collection, d.metadata, d.media, d.added, d.sha256, "
            "json_array_length(d.pages), "
            "count(p.number), count(nullif(p.held, '')) from documents d "
            "left join passages p on p.document = d.number group by d.number order by d.id"
        ).fetchall()
        return [
            LibraryDocument(
                id=identifier,
                collection=collection,
                title=metadata.title,
                kind=metadata.kind,
                binding=metadata.binding,
                jurisdiction=metadata.jurisdiction,
                phases=metadata.phases,
                media=media,
                paths=self._paths(number),
                pages=pages,
                passages=passages,
                held=held,
                added=added,
                sha256=sha256,
            )
            for (
                number,
                identifier,
                collection,
                stored,
                media,
                added,
                sha256,
                pages,
                passages,
                held,
            ) in rows
            for metadata in [_metadata(stored)]
        ]

    def _paths(self, number: int) -> tuple[str, ...]:
        rows = self._connection.execute(
            "select path from files where document = ? order by rowid", (number,)
        )
        return tuple(path for (path,) in rows)

    def quarantined(self) -> list[Held]:
        """The passages in quarantine, by document and place."""
        rows = self._connection.execute(
            "select d.id || '#' || p.locator, p.held, "
            "substr(d.text, p.start + 1, p.stop - p.start) from passages p "
            "join documents d on d.number = p.document where p.held != '' order by d.id, p.number"
        )
        return [Held(*row) for row in rows]

    def export(self) -> Iterator[dict[str, object]]:
        """Every document with its text and passages, as JSON takes it."""
        for entry in self.documents():
            document = read_document(self._connection, entry.id)
            assert document is not None
            held = self._connection.execute(
                "select p.locator, p.held from passages p join documents d "
                "on d.number = p.document where d.id = ? and p.held != ''",
                (entry.id,),
            )
            yield {
                **asdict(entry),
                "text": document.text,
                "pages": [asdict(page) for page in document.pages],
                "passages_of_text": [
                    {"locator": p.locator, "title": p.title, "start": p.start, "stop": p.stop}
                    for p in document.provisions
                ],
                "quarantined": dict(held.fetchall()),
            }


def read_document(connection: sqlite3.Connection, identifier: str) -> Document | None:
    """A document with all its passages as provisions, those in quarantine too; None if absent."""
    row = connection.execute("select number from documents where id = ?", (identifier,)).fetchone()
    if row is None:
        return None
    document = read_text(connection, row[0])
    passages = connection.execute(
        "select number from passages where document = ? order by number", (row[0],)
    ).fetchall()
    return replace(
        document,
        provisions=tuple(read_provision(connection, number, document) for (number,) in passages),
    )


def read_text(connection: sqlite3.Connection, number: int) -> Document:
    """A document with its text and pages, and without its passages."""
    sha256, text, pages = connection.execute(
        "select sha256, text, pages from documents where number = ?", (number,)
    ).fetchone()
    placed = tuple(Page(*entry) for entry in json.loads(pages))
    return Document(read_source(connection, number), text, sha256, (), placed)


def read_source(connection: sqlite3.Connection, number: int) -> Source:
    """What a document counts as, in the form that corpus files have."""
    identifier, collection, added, stored = connection.execute(
        "select id, collection, added, metadata from documents where number = ?", (number,)
    ).fetchone()
    (path,) = connection.execute(
        "select path from files where document = ? order by rowid limit 1", (number,)
    ).fetchone()
    metadata = _metadata(stored)
    return Source(
        id=identifier,
        title=metadata.title,
        publisher=metadata.publisher or collection,
        kind=metadata.kind,
        binding=metadata.binding,
        jurisdiction=metadata.jurisdiction,
        version=metadata.version,
        published=metadata.date,
        in_force_from=None,
        status="current",
        licence="as its owner says",
        url=metadata.url or Path(path).as_uri(),
        compared=added[:10],
        snapshot=None,
    )


def read_provision(connection: sqlite3.Connection, number: int, document: Document) -> Provision:
    """A passage of a document in the form of a provision."""
    locator, title, start, stop, segments, concerns, metadata = connection.execute(
        "select p.locator, p.title, p.start, p.stop, p.segments, p.concerns, d.metadata "
        "from passages p join documents d on d.number = p.document where p.number = ?",
        (number,),
    ).fetchone()
    page, url = document.page(start), document.source.url
    return Provision(
        source_id=document.source.id,
        locator=locator,
        title=title,
        url=f"{url}#page={page.number}" if page else url,
        phases=_metadata(metadata).phases,
        concerns=tuple(json.loads(concerns)),
        roles=(),
        asks=(),
        tests=(),
        read=(),
        in_force_from=None,
        status="current",
        line=0,
        start=start,
        stop=stop,
        segments=tuple(Segment(*entry) for entry in json.loads(segments)),
    )


def _metadata(stored: str) -> Metadata:
    values = json.loads(stored)
    return Metadata(**{**values, "phases": tuple(values["phases"])})


def _slug(stem: str) -> str:
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9.]+", "-", plain).strip("-.") or "document"
