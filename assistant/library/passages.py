"""Extracted -> Passages: sections cut between sentences, lists and tables whole. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from assistant.documents.extracted import Block, Extracted, Suspicion
from assistant.types import Segment

_WHOLE = 4
"""Lists and tables are cut, between items or rows, only beyond this many times the usual length."""
_TITLE_CHARS = 120
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+\s++(?=[\"'“‘(\[]?[^\W_a-z])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|approx|incl|resp|al|no|nos|art|arts|sec|para|ch|fig|figs|eq|vol|ed"
    r"|eds|pp|p|dr|mr|mrs|ms|prof|st|inc|ltd|corp|dept|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov"
    r"|dec|u\.s|u\.k|e\.u)|(?:^|\s)[A-Z]|(?:^|\n)\s*(?:\d+|[a-z]))\.\s*$",
    re.IGNORECASE,
)
_ABBREVIATION_CHARS = 40
"""So far before a sentence's end an abbreviation is looked for, that a long paragraph takes no hours."""
_RULES = "| \t\r\n"
"""What stands around a table's row."""
_ITEM = re.compile(r"^[ \t]*(?:[-*•–◦▪]|\d{1,3}[.)]|\(?[a-z]{1,3}[.)])[ \t]+(?=\S)", re.MULTILINE)
_OBLIGES = re.compile(
    r"\b(?:must|shall|should|required to|may not|never|do not|is forbidden|is prohibited)\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?<=\w )(?:when|where|how|whether|why)\b[^,;:]{0,300}\b(?:must|shall|should)\b",
    re.IGNORECASE,
)
"""What must be done, told of rather than asked for: "it explains how keys should be kept"."""


_MARKS = "*_# \t\n-"
_LINK = re.compile(r"\[[^\]\n]*\]\([^)\s]*\)|https?://\S+")
_CONTENTS = re.compile(r"(?:…|(?:\s?\.){4,})\s*\d{0,4}\s*$")
_FIELD = re.compile(r"^[\w .-]{1,40}: ", re.MULTILINE)
_RECORD = 4
"""So many fields in one segment are a record, not a statement."""
_LISTS = re.compile(
    r"(?:^|› )(?:[\d.]+ |[A-Z]\. |[IVX]+\. )?(?:references|bibliography|works cited|further reading"
    r"|(?:table of )?contents|acknowledge?ments|contributors)$",
    re.IGNORECASE,
)
"""Titles under which works and people are named, and nothing is said."""
_OPENING = 7
"""With no more words, what ends with a colon says nothing without what follows."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A citable part of a document: ``text[start:stop]`` under its section.

    locator: unique in the document. title: the last two headings above it, or the document's title.
    held: why it is in quarantine; "" if it is not.
    """

    locator: str
    title: str
    start: int
    stop: int
    segments: tuple[Segment, ...]
    held: str


@dataclass(frozen=True, slots=True)
class _Section:
    """The blocks under one heading; headings: from the outermost inwards."""

    headings: tuple[Block, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What a passage is put together from: sentences, or a list or table with what introduces it."""

    segments: tuple[Segment, ...]

    @property
    def start(self) -> int:
        return self.segments[0].start

    @property
    def stop(self) -> int:
        return self.segments[-1].stop


class _Suspicions:
    """The suspicions of a file, of which a hostile one has as many as sentences, by their place."""

    def __init__(self, suspicions: Iterable[Suspicion]) -> None:
        self._all = sorted(suspicions, key=lambda suspicion: suspicion.start)
        self._starts = [suspicion.start for suspicion in self._all]
        self._reach = list(accumulate((suspicion.stop for suspicion in self._all), max))

    def why_held(self, spans: Iterable[tuple[int, int]]) -> str:
        """Why a passage that consists of these spans is held; "" if it is not."""
        found = {
            f"{suspicion.kind}: {suspicion.reason}": None
            for start, stop in spans
            for suspicion in self._all[
                bisect_right(self._reach, start) : bisect_left(self._starts, stop)
            ]
            if start < suspicion.stop
        }
        return "; ".join(found)


def cut(extracted: Extracted, max_chars: int) -> list[Passage]:
    """The passages of a document, in its order, each of at most ``max_chars`` characters.

    Longer are only lists and tables, up to four times the length. A passage that holds a suspicious span, or stands under such a heading, is held.
    """
    passages: list[Passage] = []
    used: dict[str, int] = {}
    suspicions = _Suspicions(extracted.suspicions)
    for section in _sections(extracted):
        names = [_name(extracted.text[head.start : head.stop]) for head in section.headings]
        title = " › ".join(filter(None, names[-2:])) or _name(extracted.title)
        place = next(filter(None, reversed(names)), "") or "Beginning"
        for units in _packed(list(_units(section.blocks, extracted.text, max_chars)), max_chars):
            used[place] = used.get(place, 0) + 1
            locator = place if used[place] == 1 else f"{place} ({used[place]})"
            start, stop = units[0].start, units[-1].stop
            segments = tuple(segment for unit in units for segment in unit.segments)
            spans = [(start, stop), *((head.start, head.stop) for head in section.headings)]
            held = suspicions.why_held(spans)
            passages.append(Passage(locator, title, start, stop, segments, held))
    return passages


def _name(heading: str) -> str:
    """A heading on one line, without Markdown's signs, of a length fit for a list."""
    clean = " ".join(heading.strip("#* \t\n").split())
    return clean if len(clean) <= _TITLE_CHARS else clean[: _TITLE_CHARS - 1].rstrip() + "…"


def _sections(extracted: Extracted) -> Iterator[_Section]:
    """What stands under each heading; text that nobody sees by itself, so that it alone is held."""
    hidden = {entry.start for entry in extracted.suspicions if entry.kind == "hidden"}
    headings: tuple[Block, ...] = ()
    content: list[Block] = []
    for block in extracted.blocks:
        if block.kind != "heading" and block.start not in hidden:
            content.append(block)
            continue
        if content:
            yield _Section(headings, tuple(content))
            content = []
        if block.start in hidden:
            yield _Section(headings, (block,))
            continue
        headings = (*(head for head in headings if head.level < block.level), block)
    if content:
        yield _Section(headings, tuple(content))


def _units(blocks: Iterable[Block], text: str, max_chars: int) -> Iterator[_Unit]:
    """Sentences one by one; a list, table or code with the sentence before it."""
    waiting: list[Segment] = []
    for block in blocks:
        if block.kind == "paragraph":
            yield from (_Unit((segment,)) for segment in waiting)
            waiting = list(_short(text, sentences(text, block.start, block.stop), max_chars))
            continue
        parts = tuple(_short(text, _parts(block, text), max_chars))
        if not parts:
            continue
        yield from (_Unit((segment,)) for segment in waiting[:-1])
        introduced = (*waiting[-1:], *parts)
        if introduced[-1].stop - introduced[0].start <= _WHOLE * max_chars:
            yield _Unit(introduced)
        else:
            yield from (_Unit((segment,)) for segment in introduced)
        waiting = []
    yield from (_Unit((segment,)) for segment in waiting)


def _parts(block: Block, text: str) -> Iterator[Segment]:
    """The items of a list, the rows of a table; code is one part."""
    if block.kind == "list":
        body = text[block.start : block.stop]
        items = list(_ITEM.finditer(body))
        starts = [item.end() for item in items] or [0]
        stops = [*(item.start() for item in items[1:]), len(body)]
        for start, stop in zip(starts, stops, strict=True):
            yield from _trimmed(text, block.start + start, block.start + stop)
    elif block.kind == "table":
        start = block.start
        for line in text[block.start : block.stop].splitlines(keepends=True):
            if any(character.isalnum() for character in line):
                yield from _trimmed(text, start, start + len(line), _RULES)
            start += len(line)
    else:
        yield from _trimmed(text, block.start, block.stop)


def _short(text: str, segments: Iterable[Segment], max_chars: int) -> Iterator[Segment]:
    """Segments that can be quoted: what is longer is cut at a line's end, else between words."""
    for segment in segments:
        start = segment.start
        while segment.stop - start > max_chars:
            space = text.rfind("\n", start, start + max_chars)
            if space <= start:
                space = text.rfind(" ", start, start + max_chars)
            stop = space if space > start else start + max_chars
            yield from _trimmed(text, start, stop)
            start = stop
        yield from _trimmed(text, start, segment.stop)


def _packed(units: list[_Unit], max_chars: int) -> Iterator[list[_Unit]]:
    """Consecutive units together as long as they are within the limit."""
    packed: list[_Unit] = []
    for unit in units:
        if packed and unit.stop - packed[0].start > max_chars:
            yield packed
            packed = []
        packed.append(unit)
    if packed:
        yield packed


def sentences(text: str, start: int, stop: int) -> Iterator[Segment]:
    """The sentences of ``text[start:stop]``: not cut after abbreviations, initials and numbers."""
    body = text[start:stop]
    begun = 0
    for end in _END.finditer(body):
        ending = body[max(begun, end.start() - _ABBREVIATION_CHARS) : end.end()].rstrip()
        if _ABBREVIATION.search(ending):
            continue
        yield from _trimmed(text, start + begun, start + end.end())
        begun = end.end()
    yield from _trimmed(text, start + begun, stop)


def says_something(text: str) -> bool:
    """Whether a segment can be quoted: not an entry of contents, a record's head, or an opening."""
    plain = _LINK.sub(" ", text).strip(_MARKS)
    return (
        len(plain.split()) > (_OPENING if plain.endswith(":") else 1)
        and not _CONTENTS.search(text)
        and len(_FIELD.findall(text)) < _RECORD
    )


def only_lists(title: str) -> bool:
    """Whether nothing under a passage's title is a statement: references, contents, thanks."""
    return _LISTS.search(title) is not None


def _trimmed(text: str, start: int, stop: int, dropped: str | None = None) -> Iterator[Segment]:
    """The span without white space at its ends, as something to do if it says what must be done."""
    part = text[start:stop]
    start += len(part) - len(part.lstrip(dropped))
    part = part.strip(dropped)
    if part:
        asked = _OBLIGES.search(_ASIDE.sub("", part))
        yield Segment("do" if asked else "statement", start, start + len(part))
