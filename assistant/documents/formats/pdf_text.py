"""Where the text of a PDF page stands, and how: runs of glyphs out of its content stream.

pypdf parses the file and its fonts; its own text extraction gives neither the width of what is
shown nor its colour, on which words, columns and hidden text depend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pypdf import PageObject
from pypdf.errors import PyPdfError
from pypdf.generic import ContentStream, DictionaryObject, StreamObject
from pypdf.generic._font import Font

from assistant.documents.formats.lines import Run

Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_GAP_EM = 0.16
"""A move to the right by more than this, in parts of the font size, is a space."""
_FORM_DEPTH = 12
_FORMS_A_PAGE = 2_000
_TINY_POINTS = 1.5
Colour = tuple[float, ...]
_WEIGHTS = (
    (re.compile(r"(?:extra|ultra)-?light|thin", re.I), 200),
    (re.compile(r"light", re.I), 300),
    (re.compile(r"semi-?bold|demi", re.I), 600),
    (re.compile(r"bold|black|heavy|cmbx|-medi\b|\.b\b", re.I), 700),
    (re.compile(r"medium", re.I), 500),
)
_MONO = re.compile(r"mono|courier|consol|typewriter|cmtt|menlo", re.I)
_UNUSED = dict.fromkeys("\x7f\x81\x8d\x8f\x90\x9d", "•")
"""Codes that WinAnsiEncoding does not use show a bullet (ISO 32000-1, D.2)."""
_BLACK: Colour = (0.0, 0.0, 0.0)
_WHITE: Colour = (1.0, 1.0, 1.0)


@dataclass(slots=True)
class _State:
    """The graphics state, as far as text depends on it."""

    ctm: Matrix
    fill: Colour | None = _BLACK
    alpha: float = 1.0
    font: _Glyphs | None = None
    size: float = 12.0
    char_space: float = 0.0
    word_space: float = 0.0
    stretch: float = 1.0
    leading: float = 0.0
    rise: float = 0.0
    mode: int = 0

    def copy(self) -> _State:
        return _State(*(getattr(self, name) for name in self.__slots__))


class _Glyphs:
    """A font: text and width of each character code."""

    def __init__(self, resource: DictionaryObject) -> None:
        font = Font.from_font_resource(resource)
        self.font = font
        self.name = str(font.name).rpartition("+")[2]
        self.simple = not isinstance(font.encoding, str)
        weights = (weight for pattern, weight in _WEIGHTS if pattern.search(self.name))
        self.weight = next(weights, 400)
        self.mono = bool(_MONO.search(self.name))
        self._known: dict[str, tuple[str, float]] = {}

    def codes(self, raw: bytes) -> str:
        """The character codes of a shown string, one character each."""
        if self.simple:
            return raw.decode("latin-1")
        encoding = str(self.font.encoding)
        return raw.decode(encoding, "surrogatepass" if "utf-16" in encoding else "replace")

    def glyph(self, code: str) -> tuple[str, float]:
        """Text and width, in parts of the font size, of one code."""
        known = self._known.get(code)
        if known is None:
            font = self.font
            text = code
            if isinstance(font.encoding, dict):
                text = font.encoding.get(ord(code), code)
            text = font.character_map.get(text, font.character_map.get(code, text))
            text = _UNUSED.get(text, text)
            widths = font.character_widths
            width = widths.get(code, widths.get("default", 500)) or 0
            if code == font.space_char and code not in widths:
                width = font.space_width
            known = self._known[code] = (text if font.interpretable else "", float(width) / 1000)
        return known


@dataclass(slots=True)
class PageText:
    """Runs in the order of the content stream; size of the page; thin horizontal rules drawn.

    image_share: the part of the page that the largest image on it covers.
    """

    width: float
    height: float
    runs: list[Run] = field(default_factory=list)
    image_share: float = 0.0


Fonts = dict[int, tuple[DictionaryObject, "_Glyphs | None"]]
"""Fonts by identity of their dictionary, which is held so that no other takes its identity."""


def page_text(page: PageObject, fonts: Fonts) -> PageText:
    """Read a page; ``fonts`` keeps what was read for other pages of the file."""
    box = page.cropbox
    left, bottom = float(box.left), float(box.bottom)
    width, height = float(box.width), float(box.height)
    turn = int(page.rotation or 0) % 360
    start: Matrix = {
        0: (1.0, 0.0, 0.0, 1.0, -left, -bottom),
        90: (0.0, -1.0, 1.0, 0.0, -bottom, left + width),
        180: (-1.0, 0.0, 0.0, -1.0, left + width, bottom + height),
        270: (0.0, 1.0, -1.0, 0.0, bottom + height, -left),
    }.get(turn, (1.0, 0.0, 0.0, 1.0, -left, -bottom))
    if turn in (90, 270):
        width, height = height, width
    found = PageText(width, height)
    contents = page.get_contents()
    if contents is not None:
        resources = page.get("/Resources")
        _Interpreter(found, fonts, page.pdf).run(contents, _dictionary(resources), _State(start))
    return found


class _Interpreter:
    """Carries out the operators of a content stream that move, colour or show text."""

    def __init__(self, page: PageText, fonts: Fonts, pdf: Any) -> None:
        self.page, self.fonts, self.pdf = page, fonts, pdf
        self.painted: list[tuple[float, float, float, float, Colour | None]] = []
        self.forms = 0
        self.running: list[int] = []

    def run(self, stream: ContentStream, resources: DictionaryObject, state: _State) -> None:
        """Carry out one stream, and the forms that it draws."""
        stack: list[_State] = []
        tm = line = _IDENTITY
        path: list[tuple[float, float]] = []
        artifacts: list[bool] = []
        for operands, operator in stream.operations:
            try:
                if operator == b"q":
                    stack.append(state.copy())
                elif operator == b"Q":
                    state = stack.pop() if stack else state
                elif operator == b"cm":
                    state.ctm = _times(_matrix(operands), state.ctm)
                elif operator == b"BT":
                    tm = line = _IDENTITY
                elif operator == b"Tf":
                    state.font = self._font(resources, operands[0])
                    state.size = float(operands[1])
                elif operator in (b"Td", b"TD"):
                    if operator == b"TD":
                        state.leading = -float(operands[1])
                    move = (1.0, 0.0, 0.0, 1.0, float(operands[0]), float(operands[1]))
                    tm = line = _times(move, line)
                elif operator == b"Tm":
                    tm = line = _matrix(operands)
                elif operator in (b"T*", b"'", b'"'):
                    tm = line = _times((1.0, 0.0, 0.0, 1.0, 0.0, -state.leading), line)
                    if operator == b'"':
                        state.word_space, state.char_space = float(operands[0]), float(operands[1])
                    if operator != b"T*":
                        tm = self._show([operands[-1]], tm, state, any(artifacts))
                elif operator == b"Tj":
                    tm = self._show(operands[:1], tm, state, any(artifacts))
                elif operator == b"TJ":
                    tm = self._show(operands[0], tm, state, any(artifacts))
                elif operator in _SETTERS:
                    setattr(state, _SETTERS[operator], float(operands[0]))
                elif operator == b"Tz":
                    state.stretch = float(operands[0]) / 100
                elif operator == b"Tr":
                    state.mode = int(operands[0])
                elif operator in (b"g", b"rg", b"k", b"sc", b"scn"):
                    state.fill = _rgb(operands)
                elif operator == b"cs":
                    state.fill = _BLACK
                elif operator == b"gs":
                    entry = _dictionary(_dictionary(resources.get("/ExtGState")).get(operands[0]))
                    state.alpha = float(entry.get("/ca", state.alpha))
                elif operator == b"re":
                    x, y, w, h = map(float, operands[:4])
                    corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
                    path += [_point(corner, state.ctm) for corner in corners]
                elif operator in (b"m", b"l"):
                    path.append(_point((float(operands[0]), float(operands[1])), state.ctm))
                elif operator in (b"c", b"v", b"y"):
                    path.append(_point((float(operands[-2]), float(operands[-1])), state.ctm))
                elif operator in _PAINTERS:
                    if path and operator not in (b"S", b"s", b"n") and state.alpha > 0.1:
                        self._paint(path, state.fill if _is_box(path) else None)
                    path = []
                elif operator == b"Do":
                    self._draw(
                        _dictionary(resources.get("/XObject")), operands[0], resources, state
                    )
                elif operator in (b"BDC", b"BMC"):
                    artifacts.append(bool(operands) and operands[0] == "/Artifact")
                elif operator == b"EMC" and artifacts:
                    artifacts.pop()
                elif operator == b"sh":
                    self._paint([(0.0, 0.0), (self.page.width, self.page.height)], None)
                elif operator == b"INLINE IMAGE":
                    self._image(state)
            except (IndexError, TypeError, ValueError):
                continue  # an operator with the wrong operands is skipped, as viewers do

    def _font(self, resources: DictionaryObject, name: Any) -> _Glyphs | None:
        entry = _dictionary(_dictionary(resources.get("/Font")).get(name))
        if id(entry) not in self.fonts:
            try:
                glyphs = _Glyphs(entry)
            except (PyPdfError, ValueError, TypeError, KeyError, AttributeError):
                glyphs = None
            self.fonts[id(entry)] = entry, glyphs
        return self.fonts[id(entry)][1]

    def _show(self, parts: Any, tm: Matrix, state: _State, artifact: bool) -> Matrix:
        """Show strings; gives the text matrix after them."""
        font = state.font
        if font is None:
            return tm
        size, stretch = state.size, state.stretch
        whole = _times((size * stretch, 0.0, 0.0, size, 0.0, state.rise), _times(tm, state.ctm))
        texts: list[str] = []
        x = begun = 0.0  # in text space units, unscaled by the matrix
        end = None
        for part in parts:
            if isinstance(part, int | float):
                x -= float(part) / 1000 * size * stretch
                continue
            raw = part if isinstance(part, bytes) else getattr(part, "original_bytes", b"")
            for code in font.codes(raw):
                text, width = font.glyph(code)
                if text.strip():
                    if end is None:
                        begun = x
                    elif x - end > _GAP_EM * size * stretch and texts[-1] != " ":
                        texts.append(" ")
                    texts.append(text)
                elif text and end is not None and texts[-1] != " ":
                    texts.append(" ")
                advance = width * size + state.char_space
                if code == " " and font.simple:
                    advance += state.word_space
                if text.strip():
                    end = x + width * size * stretch
                x += advance * stretch
        if end is not None and not artifact:
            self._add("".join(texts), begun, end, whole, tm, state)
        return _times((1.0, 0.0, 0.0, 1.0, x, 0.0), tm)

    def _add(
        self, text: str, begun: float, end: float, whole: Matrix, tm: Matrix, state: _State
    ) -> None:
        placed = _times(tm, state.ctm)
        x0, y0 = _point((begun, state.rise), placed)
        x1, y1 = _point((end, state.rise), placed)
        size = (whole[2] ** 2 + whole[3] ** 2) ** 0.5
        hidden = self._unseen(x0, y0, x1, size, state)
        turn = 0
        if abs(y1 - y0) > abs(x1 - x0):
            turn = 90 if y1 > y0 else 270
            x0, x1, y0 = (y0, y1, -x0) if turn == 90 else (-y0, -y1, x0)
        elif x1 < x0:
            turn = 180
            x0, x1, y0 = -x0, -x1, -y0
        assert state.font
        font = state.font
        self.page.runs.append(Run(text, x0, x1, y0, size, font.weight, font.mono, turn, hidden))

    def _unseen(self, x0: float, y: float, x1: float, size: float, state: _State) -> str:
        if state.mode in (3, 7):
            return "invisible"
        if size < _TINY_POINTS:
            return f"too small to be read ({size:.1f} points)"
        width, height = self.page.width, self.page.height
        if x1 < 0 or x0 > width or y + size < 0 or y > height:
            return "outside the page"
        if state.alpha < 0.05:
            return "transparent"
        if state.fill is not None and state.mode in (0, 4):
            ground = self._ground((x0 + x1) / 2, y + size / 3)
            if ground and all(abs(a - b) < 0.05 for a, b in zip(state.fill, ground, strict=True)):
                return "in the colour of its background"
        return ""

    def _ground(self, x: float, y: float) -> Colour | None:
        """The colour painted last at a point; None where it is an image or a pattern."""
        for x0, y0, x1, y1, colour in reversed(self.painted):
            if x0 <= x <= x1 and y0 <= y <= y1:
                return colour
        return _WHITE

    def _paint(self, path: list[tuple[float, float]], colour: Colour | None) -> None:
        xs, ys = [x for x, _ in path], [y for _, y in path]
        self.painted.append((min(xs), min(ys), max(xs), max(ys), colour))

    def _image(self, state: _State) -> None:
        (x0, y0), (x1, y1) = corners = [_point(p, state.ctm) for p in ((0.0, 0.0), (1.0, 1.0))]
        self._paint(corners, None)
        share = abs((x1 - x0) * (y1 - y0)) / max(self.page.width * self.page.height, 1.0)
        self.page.image_share = max(self.page.image_share, share)

    def _draw(
        self, objects: DictionaryObject, name: Any, resources: DictionaryObject, state: _State
    ) -> None:
        drawn = objects.get(name)
        drawn = drawn.get_object() if drawn is not None else None
        if not isinstance(drawn, StreamObject):
            return
        if drawn.get("/Subtype") == "/Image":
            self._image(state)
        elif drawn.get("/Subtype") == "/Form":
            self.forms += 1
            if (
                id(drawn) in self.running
                or len(self.running) > _FORM_DEPTH
                or self.forms > _FORMS_A_PAGE
            ):
                return
            inner = state.copy()
            if matrix := drawn.get("/Matrix"):
                inner.ctm = _times(_matrix(matrix.get_object()), state.ctm)
            own = drawn.get("/Resources")
            self.running.append(id(drawn))
            self.run(
                ContentStream(drawn, self.pdf),
                resources if own is None else _dictionary(own),
                inner,
            )
            self.running.pop()


_SETTERS = {b"Tc": "char_space", b"Tw": "word_space", b"TL": "leading", b"Ts": "rise"}
_PAINTERS = frozenset((b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*", b"S", b"s", b"n"))


def _is_box(path: list[tuple[float, float]]) -> bool:
    """Whether a path is one upright rectangle, so that all within it has its colour."""
    xs, ys = {round(x, 1) for x, _ in path}, {round(y, 1) for _, y in path}
    return len(xs) == 2 and len(ys) == 2 and len(path) in (4, 5)


def _dictionary(value: Any) -> DictionaryObject:
    found = value.get_object() if value is not None else None
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def _matrix(operands: Any) -> Matrix:
    a, b, c, d, e, f = (float(value) for value in operands[:6])
    return a, b, c, d, e, f


def _times(m: Matrix, n: Matrix) -> Matrix:
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


def _point(p: tuple[float, float], m: Matrix) -> tuple[float, float]:
    return p[0] * m[0] + p[1] * m[2] + m[4], p[0] * m[1] + p[1] * m[3] + m[5]


def _rgb(operands: Any) -> Colour | None:
    """Gray, RGB or CMYK as RGB, 0 to 1; None for a pattern."""
    values = [float(value) for value in operands if isinstance(value, int | float)]
    if len(values) == 1:
        return (values[0],) * 3
    if len(values) == 3:
        return tuple(values)
    if len(values) == 4:
        c, m, y, k = values
        return tuple((1 - ink) * (1 - k) for ink in (c, m, y))
    return None
