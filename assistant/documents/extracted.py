"""What is read out of a user's file: its text, and where blocks and pages begin in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from assistant.types import Page as Page

BlockKind = Literal["heading", "paragraph", "list", "table", "code"]
SuspicionKind = Literal["instruction", "invisible", "hidden"]


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, paragraph, whole list, whole table or code: ``text[start:stop]``.

    level: 1 to 6 for a heading, else 0.
    """

    kind: BlockKind
    start: int
    stop: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A span of the text that a reader of the file would not see, or that gives orders to an AI."""

    kind: SuspicionKind
    start: int
    stop: int
    reason: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """A file as text; offsets count characters of ``text``; blocks stand in order and do not overlap.

    metadata: what the file or a sidecar says of itself (title, date, kind, binding, …), not trusted.
    sha256: of the file's bytes. media: "pdf", "docx", "html", "markdown", "text", "csv", "json" or "yaml".
    """

    title: str
    text: str = field(repr=False)
    blocks: tuple[Block, ...] = field(repr=False)
    pages: tuple[Page, ...] = field(repr=False)
    suspicions: tuple[Suspicion, ...]
    metadata: Mapping[str, str]
    media: str
    sha256: str
