"""BM25 over provisions in SQLite FTS5: one table, one column a field, stemmed by Porter's rules.

SQLite's ``bm25()`` is Okapi BM25 (k1 = 1.2, b = 0.75) with a weight for each column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

FIELDS = ("locator", "title", "asks", "body", "source", "asked")


def write_lexical(path: Path, rows: Iterable[tuple[int, tuple[str, ...]]]) -> None:
    """Make the index file; a row is the provision's number and its text in the order of FIELDS."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(
                f"create virtual table passages using fts5({', '.join(FIELDS)}, "
                "tokenize='porter unicode61')"
            )
            marks = ", ".join("?" * (len(FIELDS) + 1))
            connection.executemany(
                f"insert into passages(rowid, {', '.join(FIELDS)}) values ({marks})",
                ((number, *texts) for number, texts in rows),
            )
            connection.execute("insert into passages(passages) values ('optimize')")
    finally:
        connection.close()


class Lexical:
    """An open lexical index; safe to read from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )

    def search(
        self, words: Sequence[str], weights: Sequence[float], limit: int
    ) -> list[tuple[int, float]]:
        """Provisions holding any of the words: (number, BM25 score > 0), best first."""
        if not words:
            return []
        rows = self._connection.execute(
            f"select rowid, -bm25(passages, {', '.join(str(float(w)) for w in weights)}) as score "
            "from passages where passages match ? order by score desc, rowid limit ?",
            (" OR ".join(_quoted(word) for word in words), limit),
        )
        return [(int(number), float(score)) for number, score in rows]

    def holders(self, word: str) -> frozenset[int]:
        """The numbers of all provisions that hold a word, in any inflection."""
        rows = self._connection.execute(
            "select rowid from passages where passages match ?", (_quoted(word),)
        )
        return frozenset(int(number) for (number,) in rows)

    def count(self) -> int:
        """How many provisions the index holds."""
        return int(self._connection.execute("select count(*) from passages").fetchone()[0])

    def close(self) -> None:
        """Release the file."""
        self._connection.close()


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
