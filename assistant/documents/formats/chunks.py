"""Lines -> chunks: what belongs together by distance, style and position; and which are headings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from assistant.documents.formats.lines import Line

ITEM = re.compile(r"(?:[•▪◦‣●○■□❖➢✓·–—*-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)])\s+\S")
"""What a list item begins with."""


@dataclass(slots=True)
class Chunk:
    """Lines that belong together: a paragraph, a list item, a heading or part of a table's cell."""

    page: int
    lines: list[Line]

    @property
    def x0(self) -> float:
        """Left end."""
        return min(line.x0 for line in self.lines)

    @property
    def x1(self) -> float:
        """Right end."""
        return max(line.x1 for line in self.lines)

    @property
    def top(self) -> float:
        """Upper end, a font size above the first baseline."""
        return self.lines[0].y + self.lines[0].size

    @property
    def bottom(self) -> float:
        """The last baseline."""
        return self.lines[-1].y

    @property
    def style(self) -> tuple[float, bool]:
        """Font size, rounded, and whether it is bold."""
        first = self.lines[0]
        return round(first.size, 1), first.bold


@dataclass(frozen=True, slots=True)
class Title:
    """An entry of the outline: its page, counted from 0, its words, its depth from 1."""

    page: int
    text: str
    depth: int


def chunks_of(lines: list[list[Line]]) -> list[Chunk]:
    """The chunks of a document whose pages have these lines."""
    leading = _leading(lines)
    return [chunk for page, of in enumerate(lines) for chunk in _chunks(page, of, leading)]


def _leading(pages: list[list[Line]]) -> dict[float, float]:
    """The commonest distance of baselines for each font size."""
    found: dict[float, Counter[float]] = defaultdict(Counter)
    for lines in pages:
        for upper, lower in pairwise(lines):
            drop = upper.y - lower.y
            if abs(upper.size - lower.size) < 0.2 and 0.9 * lower.size < drop < 2.2 * lower.size:
                found[round(lower.size, 1)][round(drop * 2) / 2] += 1
    return {size: counts.most_common(1)[0][0] for size, counts in found.items()}


def _body_size(pages: list[list[Line]]) -> float:
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[round(line.size, 1)] += len(line.text)
    return sizes.most_common(1)[0][0]


def _chunks(page: int, lines: list[Line], leading: dict[float, float]) -> list[Chunk]:
    chunks: list[Chunk] = []
    for line in lines:
        if chunks and _continues(chunks[-1], line, leading):
            chunks[-1].lines.append(line)
        else:
            chunks.append(Chunk(page, [line]))
    return chunks


def _continues(chunk: Chunk, line: Line, leading: dict[float, float]) -> bool:
    """Whether a line goes on with the paragraph, item, heading or cell above it."""
    last, size = chunk.lines[-1], line.size
    drop = last.y - line.y
    usual = leading.get(round(size, 1), 1.3 * size)
    if not 0.3 * size < drop < 1.3 * usual + 0.5 or abs(last.size - size) > 0.12 * size:
        return False
    if last.mono and line.mono:
        return True
    if last.bold != line.bold or last.mono != line.mono:
        return False
    if ITEM.match(line.text) and not _goes_on_with_dash(chunk, line):
        return False
    if line.x0 > last.x1 or line.x1 < chunk.x0:
        return False
    shift = line.x0 - last.x0
    centred = abs((line.x0 + line.x1) - (last.x0 + last.x1)) < size
    item = ITEM.match(chunk.lines[0].text) is not None
    if len(chunk.lines) == 1:
        if not (centred or -4 * size < shift < (6 if item else 0.8) * size):
            return False
    elif abs(shift) > 0.8 * size and not centred:
        return False
    return not _deliberate_break(chunk, line)


def _goes_on_with_dash(chunk: Chunk, line: Line) -> bool:
    """Whether a line begins with a dash of its sentence, not with that of an item."""
    level = len(chunk.lines) > 1 and abs(line.x0 - chunk.lines[-1].x0) < 0.2 * line.size
    return line.text[0] in "–—" and level and chunk.lines[-1].text[-1] not in ".;:"


def _deliberate_break(chunk: Chunk, line: Line) -> bool:
    """Whether the line above ended although the next word had room on it."""
    last = chunk.lines[-1]
    if line.text[:1].islower() or last.text.endswith(("-", "‐", ",")):
        return False
    word = line.text.split(" ", 1)[0]
    width = (line.x1 - line.x0) / max(len(line.text), 1) * (len(word) + 2)
    return last.x1 + width + line.size < max(chunk.x1, line.x1)


def headings_among(
    chunks: list[Chunk], titles: Sequence[Title], lines: list[list[Line]]
) -> dict[int, int]:
    """Levels of the chunks, by identity, that are headings: by the outline, else by their type."""
    body = _body_size(lines)
    found: dict[int, int] = {}
    by_style: dict[tuple[float, bool], Counter[int]] = defaultdict(Counter)
    wanted: dict[int, dict[str, int]] = defaultdict(dict)
    for title in titles:
        wanted[title.page][_letters(title.text)] = min(title.depth, 6)
    for chunk in chunks:
        if len(chunk.lines) < 5 and (levels := wanted.get(chunk.page)):
            text = _letters(" ".join(line.text for line in chunk.lines))
            level = levels.get(text) or levels.get(_letters(_unnumbered(chunk)))
            if level:
                found[id(chunk)] = level
                by_style[chunk.style][level] += 1
    loud = [chunk for chunk in chunks if id(chunk) not in found and _stands_out(chunk, body)]
    sizes = sorted({chunk.style for chunk in loud} | set(by_style), reverse=True)
    for chunk in loud:
        if chunk.style in by_style:
            found[id(chunk)] = by_style[chunk.style].most_common(1)[0][0]
        else:
            above = [
                by_style[style].most_common(1)[0][0]
                for style in sizes
                if style in by_style and style > chunk.style
            ]
            rank = sizes.index(chunk.style) + 1
            found[id(chunk)] = min(max(above) + 1 if above else rank, 6)
    return found


def _stands_out(chunk: Chunk, body: float) -> bool:
    size, bold = chunk.style
    text = " ".join(line.text for line in chunk.lines)
    if len(chunk.lines) > 3 or len(text) > 160 or sum(map(str.isalpha, text)) < 3:
        return False
    if chunk.lines[0].mono or text.endswith((".", ",", ";", ":", "-")):
        return False
    return size > 1.12 * body or (bold and size > 0.97 * body and len(chunk.lines) < 3)


def _unnumbered(chunk: Chunk) -> str:
    return re.sub(r"^[\dA-Z]{1,3}(?:\.\d+)*\.?\s+", "", " ".join(ln.text for ln in chunk.lines))


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
