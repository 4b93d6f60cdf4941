"""Word documents (.docx): a ZIP archive of XML, read with the standard library.

An archive may unpack to far more than it is, and XML may define entities that grow without end or
name other files; so what is unpacked is counted, and a document type declaration is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from assistant.documents.extracted import Page
from assistant.documents.formats.draft import Draft, Refusal
from assistant.documents.formats.hiding import WHITE, alike, parse_colour

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_CORE = {
    "{http://purl.org/dc/elements/1.1/}title": "title",
    "{http://purl.org/dc/elements/1.1/}creator": "author",
    "{http://purl.org/dc/terms/}modified": "date",
}
_PART_BYTES = 100 * 2**20
_TINY_HALF_POINTS = 4
_SAVE = "Open it in Word and save it again"
_ON = (None, "1", "true", "on")


@dataclass(frozen=True, slots=True)
class _Style:
    """A paragraph style: the heading level it gives, 0 for none, and whether it hides text."""

    level: int = 0
    hidden: bool = False


def convert(raw: bytes, media: str, draft: Draft) -> None:
    """Add a Word document's blocks to the draft; raises Refusal."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            core = _part(archive, "docProps/core.xml")
            body = _part(archive, "word/document.xml")
            if body is None:
                raise Refusal("unsupported", "is a ZIP archive and no Word document", _SAVE)
            _about(core, draft)
            _Reader(draft, _styles(_part(archive, "word/styles.xml"))).read(body)
            for part, reason in (
                ("word/footnotes.xml", ""),
                ("word/endnotes.xml", ""),
                ("word/comments.xml", "a comment in the margin"),
            ):
                if (notes := _part(archive, part)) is not None:
                    for note in notes:
                        text = " ".join("".join(node.itertext()) for node in note.iter(f"{_W}t"))
                        draft.add("paragraph", text, hidden=reason)
    except (zipfile.BadZipFile, ElementTree.ParseError, zlib.error, EOFError) as error:
        raise Refusal("damaged", f"is damaged ({error})", _SAVE) from error


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise Refusal("hostile", "declares XML entities, which Word never does", _SAVE)


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    """The root of a part; None if the archive has none of that name."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        return None
    if entry.flag_bits & 1:
        raise Refusal("encrypted", "is encrypted", "Remove its password and add it again")
    parser = ElementTree.XMLParser(target=_NoDoctype())
    unpacked = 0
    with archive.open(entry) as part:
        while block := part.read(2**16):
            unpacked += len(block)
            if unpacked > _PART_BYTES:
                problem = f"unpacks to more than {_PART_BYTES // 2**20} MiB"
                raise Refusal("hostile", problem, "Leave it out, or save its text as a new file")
            parser.feed(block)
    root: ElementTree.Element = parser.close()
    return root


def _about(core: ElementTree.Element | None, draft: Draft) -> None:
    for node in core if core is not None else ():
        if (name := _CORE.get(node.tag)) and node.text:
            draft.metadata[name] = node.text.strip()
    draft.title = draft.metadata.pop("title", "")


def _styles(root: ElementTree.Element | None) -> dict[str, _Style]:
    """Styles by id; a style without a level of its own has that of the style it is based on."""
    found: dict[str, _Style] = {}
    for node in root.iter(f"{_W}style") if root is not None else ():
        based = found.get(_value(node.find(f"{_W}basedOn")) or "", _Style())
        level = _level(node) or based.level
        name = _value(node.find(f"{_W}name")) or ""
        if named := re.fullmatch(r"heading (\d)", name, re.I):
            level = min(int(named[1]), 6)
        elif name.lower() == "title":
            level = 1
        vanish = node.find(f"{_W}rPr/{_W}vanish")
        found[node.get(f"{_W}styleId") or ""] = _Style(level, based.hidden or _on(vanish))
    return found


def _level(node: ElementTree.Element) -> int:
    """1 to 6 from an outline level, which counts from 0 and has 9 for body text."""
    outline = _value(node.find(f"{_W}pPr/{_W}outlineLvl")) or ""
    return min(int(outline) + 1, 6) if outline.isdigit() and int(outline) < 9 else 0


def _value(node: ElementTree.Element | None) -> str | None:
    return node.get(f"{_W}val") if node is not None else None


def _on(node: ElementTree.Element | None) -> bool:
    return node is not None and _value(node) in _ON


class _Reader:
    """Goes through the body; pages begin where Word last saw them begin."""

    def __init__(self, draft: Draft, styles: dict[str, _Style]) -> None:
        self.draft, self.styles = draft, styles
        self.items: list[str] = []
        self.unseen: list[tuple[str, str]] = []
        self.turns: list[int] = []

    def read(self, root: ElementTree.Element) -> None:
        """Add all blocks of the document."""
        for body in root.iter(f"{_W}body"):
            self._blocks(body)
        self._end_list()
        if self.turns:
            starts = [0, *self.turns]
            self.draft.pages += [Page(at, n, str(n)) for n, at in enumerate(starts, start=1)]

    def _blocks(self, parent: ElementTree.Element) -> None:
        for node in parent:
            if node.tag == f"{_W}p":
                self._paragraph(node)
            elif node.tag == f"{_W}tbl":
                self._end_list()
                self.draft.add("table", "\n".join(self._rows(node)))
                self._end_list()
            elif node.tag == f"{_W}sdt":
                for content in node.findall(f"{_W}sdtContent"):
                    self._blocks(content)

    def _paragraph(self, node: ElementTree.Element) -> None:
        style = self.styles.get(_value(node.find(f"{_W}pPr/{_W}pStyle")) or "", _Style())
        before = len(self.turns)
        text = self._text(node, style)
        if node.find(f"{_W}pPr/{_W}numPr") is not None and not style.level:
            depth = _value(node.find(f"{_W}pPr/{_W}numPr/{_W}ilvl")) or "0"
            if text:
                self.items.append(f"{'  ' * int(depth)}- {text}")
            return
        self._end_list()
        level = _level(node) or style.level
        start = self.draft.add("heading" if level else "paragraph", text, level)
        self.turns[before:] = [start for _ in self.turns[before:]]
        self._end_list()

    def _end_list(self) -> None:
        """Add the list gathered so far, then what was not seen in it."""
        if self.items:
            self.draft.add("list", "\n".join(self.items))
            self.items = []
        for text, reason in self.unseen:
            self.draft.add("paragraph", text, hidden=reason)
        self.unseen = []

    def _rows(self, table: ElementTree.Element) -> Iterator[str]:
        for row in table.findall(f"{_W}tr"):
            cells = [
                " ".join(filter(None, (self._text(p, _Style()) for p in cell.iter(f"{_W}p"))))
                for cell in row.findall(f"{_W}tc")
            ]
            if any(cells):
                yield " | ".join(cells)

    def _text(self, paragraph: ElementTree.Element, style: _Style) -> str:
        """The visible text of a paragraph; hidden runs are kept apart, deleted ones left out."""
        parts: list[str] = []
        hidden: dict[str, list[str]] = {}
        for run in paragraph.iter(f"{_W}r"):
            reason = _unseen(run, style)
            target = hidden.setdefault(reason, []) if reason else parts
            for node in run:
                if node.tag == f"{_W}t":
                    target.append(node.text or "")
                elif node.tag in (f"{_W}tab", f"{_W}br", f"{_W}cr"):
                    target.append(" ")
                elif node.tag == f"{_W}noBreakHyphen":
                    target.append("-")
                elif node.tag == f"{_W}lastRenderedPageBreak":
                    self.turns.append(self.draft.length)
        self.unseen += [(" ".join("".join(p).split()), reason) for reason, p in hidden.items()]
        return " ".join("".join(parts).split())


def _unseen(run: ElementTree.Element, style: _Style) -> str:
    """Why a run is not seen; "" if it is."""
    look = run.find(f"{_W}rPr")
    if look is None:
        return "hidden by its style" if style.hidden else ""
    if _on(look.find(f"{_W}vanish")) or (style.hidden and look.find(f"{_W}vanish") is None):
        return "marked as hidden text"
    size = _value(look.find(f"{_W}sz")) or ""
    if size.isdigit() and int(size) <= _TINY_HALF_POINTS:
        return f"too small to be read ({int(size) / 2:g} points)"
    colour = parse_colour(f"#{_value(look.find(f'{_W}color')) or ''}")
    shaded = look.find(f"{_W}shd") is not None or look.find(f"{_W}highlight") is not None
    return (
        "in the colour of its background" if colour and alike(colour, WHITE) and not shaded else ""
    )
