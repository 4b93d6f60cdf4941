"""Plain text and reStructuredText: paragraphs, lists, and headings that are underlined."""

from __future__ import annotations

import re

from assistant.documents.formats.decoding import decode
from assistant.documents.formats.draft import Draft

_RULE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*")
_ITEM = re.compile(r"\s*(?:[-*+•‣◦]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])\s+\S")


def convert(raw: bytes, media: str, draft: Draft) -> None:
    """Add a text file's blocks to the draft."""
    text, draft.metadata["encoding"] = decode(raw)
    marks: list[str] = []
    for chunk in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = [line for line in chunk.split("\n") if line.strip()]
        if len(lines) > 2 and _RULE.fullmatch(lines[0]) and _RULE.fullmatch(lines[2]):
            lines = lines[1:]
        if len(lines) > 1 and _RULE.fullmatch(lines[1]) and not _RULE.fullmatch(lines[0]):
            mark = lines[1][0]
            if mark not in marks:
                marks.append(mark)
            draft.add("heading", lines[0].strip(), level=min(marks.index(mark) + 1, 6))
            lines = lines[2:]
        if lines:
            draft.add("list" if _ITEM.match(lines[0]) else "paragraph", "\n".join(lines))
