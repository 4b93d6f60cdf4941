"""A language model whose replies stand in a file, for every command that takes ``--model``.

    python -m evals follow-ups --model recorded:replies.jsonl

A line of the file is ``{"key": …, "reply": …}``. The prompts that have no reply yet are written beside
it, with their keys and messages. Let any model reply to them, in a batch or by hand, append the lines,
and run the command again until none is missing: a reply can lead to another prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TypeVar

from assistant.generation import ChatModel
from assistant.prompts import Message

PREFIX = "recorded:"
_ROLES = {"system": "system", "human": "user"}
_T = TypeVar("_T")


class MissingReplies(Exception):
    """Prompts have no recorded reply; says where they are and what to do."""


def key_of(messages: Sequence[Message]) -> str:
    """The digest of messages: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(list(messages)).encode()).hexdigest()[:16]


class Recorded(ChatModel):
    """A model that replies from a JSON Lines file, which may not exist yet.

    name: "recorded:" and a digest of the file. missing: the file for prompts that lack a reply.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text("utf-8") if path.is_file() else ""
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        super().__init__(f"{PREFIX}{digest}", chat=None, timeout_s=60.0)
        self.missing = path.with_suffix(".missing.jsonl")
        self.missing.unlink(missing_ok=True)
        self._path = path
        self._replies: dict[str, str] = {row["key"]: row["reply"] for row in rows}
        self._lacking: set[str] = set()

    def until(self, stop: Event) -> Recorded:
        """Itself: a reply that stands in a file needs no stopping."""
        return self

    def stream(self, messages: Sequence[Message], deadline: float) -> Generator[str, None, None]:
        """The reply in one piece; raises MissingReplies, which is no failure of a model."""
        key = key_of(messages)
        if key not in self._replies:
            self._note(key, messages)
            raise MissingReplies(self._remedy)
        yield self._replies[key]

    def rehearse(self, ask: Callable[[_T], object], questions: Iterable[_T]) -> None:
        """Ask all questions once, so that all that is missing is known; raises MissingReplies."""
        for question in questions:
            with suppress(MissingReplies):
                ask(question)
        if self._lacking:
            raise MissingReplies(self._remedy)

    def _note(self, key: str, messages: Sequence[Message]) -> None:
        if key in self._lacking:
            return
        self._lacking.add(key)
        sent = [{"role": _ROLES[role], "content": text} for role, text in messages]
        with self.missing.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "messages": sent}, ensure_ascii=False) + "\n")

    @property
    def _remedy(self) -> str:
        return (
            f"{self._path} lacks {len(self._lacking)} replies. The prompts are in {self.missing}: "
            'append a line with "key" and "reply" for each, and run the command again.'
        )
