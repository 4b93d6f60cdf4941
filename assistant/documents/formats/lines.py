"""Runs of glyphs on pages -> lines in reading order, without headers, footers and contents.

Geometry only; nothing here knows PDF. Coordinates are points from the page's lower left corner.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from assistant.documents.formats.draft import ENUMERATOR

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl"}
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


def lines_of(
    pages: Sequence[Sequence[Run]], heights: Sequence[float]
) -> tuple[list[list[Line]], dict[int, int]]:
    """The lines of each page in reading order, and the numbers that pages print, by page."""
    heavy = _body_weight(pages) + 150
    lines = [_in_columns(_lines(runs, heavy)) for runs in pages]
    lines, printed = _without_furniture(lines, heights)
    return [_without_contents(page) for page in lines], printed


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
