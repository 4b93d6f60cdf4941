"""Pages of glyphs -> blocks in reading order: the steps of lines.py, chunks.py and blocks.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from assistant.documents.formats.blocks import Laid, blocks_of
from assistant.documents.formats.chunks import Title, chunks_of, headings_among
from assistant.documents.formats.lines import Run, lines_of


@dataclass(slots=True)
class Layout:
    """What lay_out gives: blocks in reading order, and the number that each page prints, if any."""

    blocks: list[Laid]
    printed: dict[int, int] = field(default_factory=dict)


def lay_out(
    pages: Sequence[Sequence[Run]], heights: Sequence[float], titles: Sequence[Title]
) -> Layout:
    """The blocks of a document from the visible runs of its pages, in stream order."""
    lines, printed = lines_of(pages, heights)
    if not any(lines):
        return Layout([])
    chunks = chunks_of(lines)
    return Layout(blocks_of(chunks, headings_among(chunks, titles, lines), lines), printed)
