"""What a format module builds up: text block by block, and what is said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from assistant.documents.extracted import Block, BlockKind, Page, Suspicion

ENUMERATOR = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z]{1,2}|[ivxlIVXL]{1,5})[.)]\)?|[•▪◦‣·–—-]")
"""A list item's mark without its text: "(a)", "12.", "iv)", a bullet."""

# Control characters drive terminals, not readers; a soft hyphen is a place to break a line.
_DROPPED = dict.fromkeys([*range(9), 11, *range(14, 32), *range(127, 160), 0xAD])
_DROPPED |= {0x0C: "\n", 0x0D: "\n", 0x85: "\n", 0x2028: "\n", 0x2029: "\n"}

_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*\s+(?=[\"'“‘(]?[A-Z0-9])")
_LONGEST_INTRODUCTION = 300


class Refusal(Exception):
    """A file that a format module will not read: FileRefused without the path.

    problem: what follows the file's name ("is encrypted"); remedy: a sentence without its stop.
    """

    def __init__(self, reason: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.reason, self.problem, self.remedy = reason, problem, remedy


@dataclass(slots=True)
class Draft:
    """Blocks are added in reading order and are parted by a blank line in ``text``.

    Raises Refusal from ``add`` when the text outgrows ``max_chars``.
    """

    max_chars: int
    title: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    suspicions: list[Suspicion] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)
    _length: int = 0

    @property
    def text(self) -> str:
        """All blocks."""
        return "".join(self._parts)

    def add(self, kind: BlockKind, text: str, level: int = 0, hidden: str = "") -> int:
        """Append a block and give its start; without text nothing is appended.

        hidden: why a reader of the file does not see it, if so.
        """
        text = _clean(text).strip("\n").rstrip()
        if not text.strip() or (hidden and _is_mark(text)):
            return self._length
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        start, stop = self._length, self._length + len(text)
        if stop > self.max_chars:
            raise Refusal(
                "hostile",
                f"holds more than {self.max_chars:,} characters of text",
                "Split it into smaller files and add those",
            )
        self._parts.append(text)
        self._length = stop
        if hidden:
            self.blocks.append(Block("paragraph", start, stop))
            self.suspicions.append(Suspicion("hidden", start, stop, hidden))
        else:
            self.blocks.append(Block(kind, self._introduced(kind, start), stop, level))
        return start

    def _introduced(self, kind: BlockKind, start: int) -> int:
        """Where a block begins with the sentence that introduces it, which the one before gives up.

        A table is introduced by the last sentence before it, a list by one that ends in a colon.
        """
        last = self.blocks[-1] if self.blocks else None
        if kind not in ("table", "list") or not last or last.kind != "paragraph":
            return start
        if self.suspicions and self.suspicions[-1].start == last.start:
            return start
        before = self._parts[-3]
        if kind == "list" and not before.endswith(":"):
            return start
        ends = [match.end() for match in _SENTENCE_END.finditer(before)]
        sentence = ends[-1] if ends else 0
        if len(before) - sentence > _LONGEST_INTRODUCTION:
            return start
        self.blocks.pop()
        if sentence:
            kept = last.start + len(before[:sentence].rstrip())
            self.blocks.append(replace(last, stop=kept))
        return last.start + sentence

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    def first_heading(self) -> str:
        """The first heading that is not hidden, or nothing."""
        hidden = {suspicion.start for suspicion in self.suspicions}
        text = self.text
        for block in self.blocks:
            if block.kind == "heading" and block.start not in hidden:
                return text[block.start : block.stop]
        return ""


def _is_mark(text: str) -> bool:
    """Whether hidden text is too short to say anything, such as "TOC end" or "GOOD"."""
    return len(text) < 40 and len(text.split()) < 4


def _clean(text: str) -> str:
    """Text without control characters and halves of surrogate pairs; lines end with a line feed."""
    text = text.replace("\r\n", "\n").translate(_DROPPED)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
