"""Runs of glyphs on pages become lines, chunks and blocks: reading order, tables, lists, headings.

Geometry only; nothing here knows PDF. Coordinates are points from the page's lower left corner.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from assistant.documents.extracted import BlockKind
from assistant.documents.formats.draft import ENUMERATOR

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl"}
_ITEM = re.compile(r"(?:[•▪◦‣●○■□❖➢✓·–—*-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)])\s+\S")
_MINUS = re.compile(r"(?<=[^\W\d_])−(?=[^\W\d_])")
"""A minus sign between letters is a hyphen out of a mathematical font."""
_NUMBERING = re.compile(r"(?:[A-Z]{1,3}\.?)?\d+(?:\.\d+)*\.?")
_EDGE = 0.12
"""Headers and footers stand in this part of a page's height, at its top and at its bottom."""
_LEADERS = re.compile(r"(?:\s?\.){4,}\s*")
"""The dots between an entry of a table of contents and its page."""
_CONTENTS = re.compile(r" … (?:\d{1,4}|[ivxlc]{1,6})?$")


@dataclass(frozen=True, slots=True)
class Run:
    """Glyphs shown together: text, left and right end, baseline, font size in points.

    weight: of the font, 400 being regular and 700 bold.
    turn: direction of reading, 0, 90, 180 or 270 degrees. hidden: why nobody sees it, or "".
    """

    text: str
    x0: float
    x1: float
    y: float
    size: float
    weight: int = 400
    mono: bool = False
    turn: int = 0
    hidden: str = ""


@dataclass(slots=True)
class Line:
    """A line of text within its column or cell."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool = False
    mono: bool = False


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


@dataclass(slots=True)
class Piece:
    """Text that stands on one page: a whole block, or the part of one that a page holds."""

    page: int
    text: str


@dataclass(slots=True)
class Laid:
    """A block and the pieces it is made of; level: 1 to 6 for a heading, else 0."""

    kind: BlockKind
    pieces: list[Piece]
    level: int = 0
    columns: int = 0


@dataclass(frozen=True, slots=True)
class Title:
    """An entry of the outline: its page, counted from 0, its words, its depth from 1."""

    page: int
    text: str
    depth: int


@dataclass(slots=True)
class Layout:
    """What lay_out gives: blocks in reading order, and the number that each page prints, if any."""

    blocks: list[Laid]
    printed: dict[int, int] = field(default_factory=dict)


def lay_out(
    pages: Sequence[Sequence[Run]], heights: Sequence[float], titles: Sequence[Title]
) -> Layout:
    """The blocks of a document from the visible runs of its pages, in stream order."""
    heavy = _body_weight(pages) + 150
    lines = [_in_columns(_lines(runs, heavy)) for runs in pages]
    lines, printed = _without_furniture(lines, heights)
    lines = [_without_contents(page) for page in lines]
    every = [line for page in lines for line in page]
    if not every:
        return Layout([])
    words = _vocabulary(every)
    leading = _leading(lines)
    chunks = [chunk for page, of in enumerate(lines) for chunk in _chunks(page, of, leading)]
    headings = _headings(chunks, titles, _body_size(every))
    return Layout(list(_joined(_blocks(chunks, headings, words), words)), printed)


def _body_weight(pages: Sequence[Sequence[Run]]) -> int:
    weights: Counter[int] = Counter()
    for runs in pages:
        for run in runs:
            weights[run.weight] += len(run.text)
    return max(weights, key=weights.__getitem__, default=400)


def _lines(runs: Iterable[Run], heavy: int) -> list[Line]:
    """Runs on one baseline, in the order of the stream, as lines; bold from a weight of heavy."""
    groups: list[list[Run]] = []
    for run in runs:
        if groups and _same_line(groups[-1], run):
            groups[-1].append(run)
        else:
            groups.append([run])
    lines = [_line(group, heavy) for group in groups]
    for line in [line for line in lines if ENUMERATOR.fullmatch(line.text)]:
        beside = [
            other
            for other in lines
            if other is not line
            and abs(other.y - line.y) < 0.4 * line.size
            and -1 < other.x0 - line.x1 < 4 * line.size
        ]
        if beside:
            item = min(beside, key=lambda other: other.x0)
            item.text, item.x0 = f"{line.text} {item.text}", line.x0
            lines.remove(line)
    return lines


def _same_line(group: list[Run], run: Run) -> bool:
    last = group[-1]
    size = max(entry.size for entry in group)
    gap = run.x0 - last.x1
    uneven = abs(run.y - group[0].y) > 0.5 * max(size, run.size)
    if uneven or gap < -0.5 * size or run.turn != last.turn:
        return False
    text = "".join(entry.text for entry in group).strip()
    numbered = len(group) < 4 and (ENUMERATOR.fullmatch(text) or _NUMBERING.fullmatch(text))
    return gap < (3.5 if numbered else 1.0) * max(size, run.size)


def _line(group: list[Run], heavy: int) -> Line:
    main = max(group, key=lambda run: len(run.text.strip()) * run.size)
    text = ""
    end = group[0].x0
    for run in group:
        shown = run.text
        raised = run.size < 0.8 * main.size and run.y > main.y + 0.15 * main.size
        if raised and shown.strip().isdigit():
            shown = shown.translate(_SUPERSCRIPT)
        elif run.x0 - end > (0.5 if _closes(text, shown) else 0.16) * main.size:
            text += " "
        text += shown
        end = run.x1
    bold = sum(len(run.text) for run in group if run.weight >= heavy)
    return Line(
        text=_LEADERS.sub(" … ", _MINUS.sub("-", " ".join(text.translate(_LIGATURES).split()))),
        x0=group[0].x0,
        x1=max(run.x1 for run in group),
        y=main.y,
        size=main.size,
        bold=bold > 0.9 * sum(len(run.text) for run in group),
        mono=main.mono,
    )


def _closes(text: str, more: str) -> bool:
    """Whether no space belongs between two runs, as before a comma that follows boxed code."""
    return text.endswith(("(", "[", "{", "“")) or more.startswith(
        (",", ".", ";", ":", ")", "]", "}")
    )


def _in_columns(lines: list[Line]) -> list[Line]:
    """Lines reordered column by column where the stream goes to and fro between two columns."""
    gutter = _gutter(lines)
    if gutter is None:
        return lines
    sides = [line.x0 > gutter for line in lines if not line.x0 < gutter < line.x1]
    switches = sum(one != other for one, other in pairwise(sides))
    if switches < 0.25 * len(sides):
        return lines
    ordered: list[Line] = []
    band: list[Line] = []
    for line in sorted(lines, key=lambda line: -line.y):
        if line.x0 < gutter < line.x1:
            ordered += sorted(band, key=lambda line: line.x0 > gutter)
            ordered.append(line)
            band = []
        else:
            band.append(line)
    return ordered + sorted(band, key=lambda line: line.x0 > gutter)


def _gutter(lines: list[Line]) -> float | None:
    """The x that parts a page into two columns of about one width; None if it has no two."""
    if len(lines) < 8:
        return None
    left, right = min(line.x0 for line in lines), max(line.x1 for line in lines)
    for share in (0.5, 0.48, 0.52, 0.46, 0.54):
        x = left + share * (right - left)
        one = [line for line in lines if line.x1 <= x]
        other = [line for line in lines if line.x0 >= x]
        if min(len(one), len(other)) < 4 or len(one) + len(other) < 0.8 * len(lines):
            continue
        widths = []
        for side in (one, other):
            extent = max(line.x1 for line in side) - min(line.x0 for line in side)
            filled = sorted(line.x1 - line.x0 for line in side)[len(side) // 2]
            widths.append(extent if filled > 0.6 * extent else 0.0)
        if min(widths) > 0.75 * max(widths) > 0.2 * (right - left):
            return x
    return None


def _without_furniture(
    pages: list[list[Line]], heights: Sequence[float]
) -> tuple[list[list[Line]], dict[int, int]]:
    """Pages without what repeats at their edges, and the page numbers that stood there."""
    seen: dict[tuple[int, str], set[int]] = defaultdict(set)
    keys: dict[int, tuple[int, str]] = {}
    for number, (lines, height) in enumerate(zip(pages, heights, strict=True)):
        for line in lines:
            if not _EDGE * height < line.y < (1 - _EDGE) * height:
                pattern = re.sub(r"\d+|\b[ivxlc]{1,6}\b", "#", line.text.lower())
                keys[id(line)] = key = round(line.y / 4), pattern
                seen[key].add(number)
    repeated = {key for key, on in seen.items() if len(on) >= 3}
    kept = [[line for line in lines if keys.get(id(line)) not in repeated] for lines in pages]
    shifts: Counter[int] = Counter()
    for number, lines in enumerate(pages):
        for line in lines:
            if keys.get(id(line)) in repeated:
                shifts.update({number - int(digits) for digits in re.findall(r"\d+", line.text)})
    (shift, count), *_ = shifts.most_common(1) or [(0, 0)]
    if count < 0.5 * len(pages):
        return kept, {}
    return kept, {number: number - shift for number in range(len(pages)) if number > shift}


def _without_contents(lines: list[Line]) -> list[Line]:
    """Lines without the entries of a table of contents: dots, which may stand apart, and a page."""
    dots = Counter(round(line.y) for line in lines if not line.text.strip(" ."))
    rows = {row for row, count in dots.items() if count > 3}
    rows |= {round(line.y) for line in lines if _CONTENTS.search(line.text)}
    return [line for line in lines if rows.isdisjoint(range(round(line.y) - 1, round(line.y) + 2))]


def _leading(pages: list[list[Line]]) -> dict[float, float]:
    """The commonest distance of baselines for each font size."""
    found: dict[float, Counter[float]] = defaultdict(Counter)
    for lines in pages:
        for upper, lower in pairwise(lines):
            drop = upper.y - lower.y
            if abs(upper.size - lower.size) < 0.2 and 0.9 * lower.size < drop < 2.2 * lower.size:
                found[round(lower.size, 1)][round(drop * 2) / 2] += 1
    return {size: counts.most_common(1)[0][0] for size, counts in found.items()}


def _body_size(lines: list[Line]) -> float:
    sizes: Counter[float] = Counter()
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
    if _ITEM.match(line.text) and not _goes_on_with_dash(chunk, line):
        return False
    if line.x0 > last.x1 or line.x1 < chunk.x0:
        return False
    shift = line.x0 - last.x0
    centred = abs((line.x0 + line.x1) - (last.x0 + last.x1)) < size
    item = _ITEM.match(chunk.lines[0].text) is not None
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


def _headings(chunks: list[Chunk], titles: Sequence[Title], body: float) -> dict[int, int]:
    """Levels of the chunks, by identity, that are headings: by the outline, else by their type."""
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


def _blocks(chunks: list[Chunk], headings: dict[int, int], words: Counter[str]) -> Iterator[Laid]:
    """Blocks page by page; what continues over a page is joined afterwards."""
    index = 0
    while index < len(chunks):
        chunk = chunks[index]
        if len(rows := _rows(chunks, index, headings)) > 1 or (rows and len(rows[0]) > 2):
            text = "\n".join(" | ".join(_flow(cell, words) for cell in row) for row in rows)
            columns = max(len(row) for row in rows)
            yield Laid("table", [Piece(chunk.page, text)], columns=columns)
            index += sum(len(cell) for row in rows for cell in row)
            continue
        index += 1
        text = _flow([chunk], words)
        if id(chunk) in headings:
            yield Laid("heading", [Piece(chunk.page, text)], headings[id(chunk)])
        elif chunk.lines[0].mono:
            yield Laid("code", [Piece(chunk.page, _code(chunk))])
        elif _ITEM.match(text):
            yield Laid("list", [Piece(chunk.page, text)])
        else:
            yield Laid("paragraph", [Piece(chunk.page, text)])


def _rows(chunks: list[Chunk], index: int, headings: dict[int, int]) -> list[list[list[Chunk]]]:
    """The rows of the table that begins at a chunk: cells of chunks; [] if none does."""
    rows: list[list[list[Chunk]]] = []
    while index < len(chunks):
        row = [[chunks[index]]]
        at = index + 1
        while at < len(chunks) and chunks[at].page == chunks[index].page:
            cell, following = row[-1], chunks[at]
            right = following.x0 > max(part.x1 for part in cell) - 1
            level = following.top > cell[-1].bottom and following.bottom < cell[0].top
            below = (
                len(row) > 1
                and following.top <= cell[-1].bottom + 2
                and following.x0 > row[-2][0].x1 - 1
                and following.x0 < cell[0].x1
            )
            if right and level:
                row.append([following])
            elif below:
                cell.append(following)
            else:
                break
            at += 1
        if len(row) < 2 or (rows and chunks[index].page != rows[0][0][0].page):
            break
        rows.append(row)
        index = at
    return rows


_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BROKEN = re.compile(r"([^\W\d_]+)[-‐‑]$")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*$")


def _flow(chunks: list[Chunk], words: Counter[str]) -> str:
    """The text of lines, hyphens at line ends undone."""
    text = ""
    for chunk in chunks:
        for line in chunk.lines:
            text = glue(text, line.text, words)
    return text


def glue(text: str, more: str, words: Counter[str]) -> str:
    """Two parts of a sentence in one; ``words``: how often each occurs unbroken in the document."""
    if not text:
        return more
    broken = _BROKEN.search(text)
    if not broken:
        address = _ADDRESS.search(text) and re.match(r"[a-z\d]*[/.?=&_-]\S", more)
        return text + more if address or re.search(r"\S[/—]$", text) else f"{text} {more}"
    rest = re.match(r"[^\W\d_]+", more)
    if not rest or more[rest.end() :].startswith("-") or broken[1].isupper() != rest[0].isupper():
        return text + more
    first, second = broken[1].lower(), rest[0].lower()
    whole, hyphened = words[first + second], words[f"{first}-{second}"]
    if whole or hyphened:
        keep = hyphened > whole
    else:
        keep = words[first] > 0 and words[second] > 0 and min(len(first), len(second)) > 2
    return text + more if keep else text[:-1] + more


def _vocabulary(lines: Sequence[Line]) -> Counter[str]:
    """How often each word occurs, the parts of words that a line end breaks left out."""
    words: Counter[str] = Counter()
    after_break = False
    for line in lines:
        found = _WORD.findall(line.text.lower())
        broken = _BROKEN.search(line.text) is not None
        whole = found[1 if after_break else 0 : -1 if broken else None]
        words.update(whole)
        words.update(part for word in whole if "-" in word for part in word.split("-"))
        after_break = broken
    return words


def _code(chunk: Chunk) -> str:
    left = chunk.x0
    widths = [(line.x1 - line.x0) / len(line.text) for line in chunk.lines]
    return "\n".join(
        " " * round((line.x0 - left) / width) + line.text
        for line, width in zip(chunk.lines, widths, strict=True)
    )


def _joined(blocks: Iterable[Laid], words: Counter[str]) -> Iterator[Laid]:
    """Blocks with items gathered into lists, and what a page or column end tore put together."""
    last: Laid | None = None
    for block in blocks:
        if last is None:
            last = block
        elif block.kind == last.kind and (
            block.kind in ("list", "code")
            or (block.kind == "table" and block.columns == last.columns)
        ):
            last.pieces += [replace(piece, text="\n" + piece.text) for piece in block.pieces]
        elif (
            block.kind == "paragraph" and last.kind in ("paragraph", "list") and _torn(last, block)
        ):
            tail = last.pieces[-1]
            whole = glue(tail.text, block.pieces[0].text, words)
            rest = block.pieces[0].text
            tail.text = whole[: len(whole) - len(rest)]
            last.pieces += block.pieces
        else:
            yield last
            last = block
    if last is not None:
        yield last


def _torn(last: Laid, block: Laid) -> bool:
    """Whether a paragraph goes on with one that has no end."""
    end, start = last.pieces[-1].text.rstrip("”\"')]"), block.pieces[0].text
    return end[-1:] not in ".!?:;" and (start[:1].islower() or end[-1:] in "-‐,")
