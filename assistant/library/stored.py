"""The library's rows as what they stand for: documents, provisions, what is listed and exported."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from assistant.library.metadata import Metadata
from assistant.types import Document, Page, Provision, Segment, Source


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


def read_documents(connection: sqlite3.Connection) -> list[LibraryDocument]:
    """All documents, by id."""
    rows = connection.execute(
        "select d.number, d.id, d.collection, d.metadata, d.media, d.added, d.sha256, "
        "json_array_length(d.pages), count(p.number), count(nullif(p.held, '')) from documents d "
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
            paths=_paths(connection, number),
            pages=pages,
            passages=passages,
            held=held,
            added=added,
            sha256=sha256,
        )
        for number, identifier, collection, raw, media, added, sha256, pages, passages, held in rows
        for metadata in [read_metadata(raw)]
    ]


def _paths(connection: sqlite3.Connection, number: int) -> tuple[str, ...]:
    rows = connection.execute("select path from files where document = ? order by rowid", (number,))
    return tuple(path for (path,) in rows)


def read_quarantine(connection: sqlite3.Connection) -> list[Held]:
    """The passages in quarantine, by document and place."""
    rows = connection.execute(
        "select d.id || '#' || p.locator, p.held, "
        "substr(d.text, p.start + 1, p.stop - p.start) from passages p "
        "join documents d on d.number = p.document where p.held != '' order by d.id, p.number"
    )
    return [Held(*row) for row in rows]


def read_export(connection: sqlite3.Connection) -> Iterator[dict[str, object]]:
    """Every document with its text and passages, as JSON takes it."""
    for entry in read_documents(connection):
        document = read_document(connection, entry.id)
        assert document is not None
        held = connection.execute(
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
    metadata = read_metadata(stored)
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
        phases=read_metadata(metadata).phases,
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


def read_metadata(stored: str) -> Metadata:
    """Metadata as they are stored, in JSON."""
    values = json.loads(stored)
    return Metadata(**{**values, "phases": tuple(values["phases"])})
