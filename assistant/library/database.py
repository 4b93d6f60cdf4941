"""The library's database: SQLite, made and opened with the pragmas that removing relies on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from assistant.errors import LibraryError

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
