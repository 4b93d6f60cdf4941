"""Chunks -> blocks: tables, lists and code, hyphens undone, and what a page's end tore joined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from assistant.documents.extracted import BlockKind
from assistant.documents.formats.chunks import ITEM, Chunk
from assistant.documents.formats.lines import Line

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BROKEN = re.compile(r"([^\W\d_]+)[-‐‑]$")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*$")


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


def blocks_of(
    chunks: list[Chunk], headings: dict[int, int], lines: Sequence[Sequence[Line]]
) -> list[Laid]:
    """The blocks of a document, whose chunks at ``headings`` (by identity) are of these levels."""
    words = _vocabulary([line for page in lines for line in page])
    return list(_joined(_blocks(chunks, headings, words), words))


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
        elif ITEM.match(text):
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


def _flow(chunks: list[Chunk], words: Counter[str]) -> str:
    """The text of lines, hyphens at line ends undone."""
    text = ""
    for chunk in chunks:
        for line in chunk.lines:
            text = _glue(text, line.text, words)
    return text


def _glue(text: str, more: str, words: Counter[str]) -> str:
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
            whole = _glue(tail.text, block.pieces[0].text, words)
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
