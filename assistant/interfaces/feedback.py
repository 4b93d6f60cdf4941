"""What readers thought of answers: kept in SQLite on this machine, exported as eval questions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from assistant.types import Outcome

_TABLE = """create table if not exists feedback (
    id integer primary key, at text not null default current_timestamp, verdict text not null,
    comment text not null, question text not null, phase text, outcome text not null,
    best text not null, others text not null, corpus_version text not null)"""
_MAX_CHARS = 2000


def default_file() -> Path:
    """Where feedback is kept unless told otherwise: the user's data folder."""
    return platformdirs.user_data_path("safety-guideline-assistant") / "feedback.sqlite3"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a reader thought of one answer.

    best: ids of the provisions that the first statement cites. others: those cited besides.
    """

    verdict: Literal["up", "down"]
    comment: str
    question: str
    phase: str | None
    outcome: Outcome
    best: tuple[str, ...]
    others: tuple[str, ...]
    corpus_version: str

    @classmethod
    def parse(cls, data: Any) -> Feedback:
        """Feedback from what a browser sent; raises ValueError if it is not of this form."""
        known = set(cls.__slots__)
        if not isinstance(data, dict) or set(data) != known:
            raise ValueError(f"feedback has the fields {', '.join(sorted(known))}")
        words = [data["comment"], data["question"], data["corpus_version"], data["phase"] or ""]
        ids = [data["best"], data["others"]]
        fits = (
            data["verdict"] in ("up", "down")
            and data["outcome"] in ("answered", "abstained")
            and all(isinstance(word, str) and len(word) <= _MAX_CHARS for word in words)
            and all(isinstance(group, list) and len(group) <= 50 for group in ids)
            and all(isinstance(name, str) and len(name) <= 300 for group in ids for name in group)
        )
        if not fits:
            raise ValueError("a field of the feedback has a value that cannot be used")
        return cls(**{**data, "best": tuple(data["best"]), "others": tuple(data["others"])})


def save(path: Path, given: Feedback) -> None:
    """Keep feedback; several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = asdict(given) | {"best": json.dumps(given.best), "others": json.dumps(given.others)}
    with _opened(path) as connection:
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(f"insert into feedback ({names}) values ({marks})", row)


def load(path: Path) -> list[tuple[int, Feedback]]:
    """All that was kept, oldest first, each with its number; nothing if there is no file."""
    if not path.is_file():
        return []
    names = list(Feedback.__slots__)
    with _opened(path) as connection:
        rows = connection.execute(f"select id, {', '.join(names)} from feedback order by id")
        kept = [(row[0], dict(zip(names, row[1:], strict=True))) for row in rows]
    return [
        (
            number,
            Feedback(
                **row
                | {
                    "best": tuple(json.loads(row["best"])),
                    "others": tuple(json.loads(row["others"])),
                }
            ),
        )
        for number, row in kept
    ]


def questions(kept: Sequence[tuple[int, Feedback]]) -> Iterator[dict[str, Any]]:
    """Eval questions of the answers that were found helpful, as the workbench reads them.

    An answer that was not helpful says nothing of what would be: it needs a person's gold first.
    """
    for number, given in kept:
        if given.verdict == "up":
            answerable = given.outcome == "answered"
            gold = [{"id": name, "grade": 2} for name in given.best]
            gold += [{"id": name, "grade": 1} for name in given.others if name not in given.best]
            yield {
                "id": f"feedback-{number}",
                "question": given.question,
                "phase": given.phase,
                "kind": "answerable" if answerable else "not-covered",
                "topic": "feedback",
                "gold": gold if answerable else [],
                "facts": [],
                "author": "reader of the chat page",
                "basis": given.comment.strip() or f"found helpful, corpus {given.corpus_version}",
            }


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute(_TABLE)
        yield connection
