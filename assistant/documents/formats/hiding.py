"""When a CSS declaration hides the text it applies to; for HTML, and HTML inside Markdown."""

from __future__ import annotations

import re

_HIDING = (
    (re.compile(r"display:none"), "not displayed (display: none)"),
    (re.compile(r"visibility:(?:hidden|collapse)"), "not displayed (visibility: hidden)"),
    (re.compile(r"(?<![\w-])opacity:0?(?:\.0\d*)?(?![.\d])"), "transparent (opacity: 0)"),
    (
        re.compile(r"font(?:-size)?:(?:0*(?:\.\d+)?|1(?:\.\d+)?)(?:px|pt|em|rem|%)?(?![\d.\w%])"),
        "too small to be read (font-size)",
    ),
    (re.compile(r"(?:left|top|text-indent|right):-\d{3,}"), "outside the page (negative position)"),
    (re.compile(r"clip(?:-path)?:(?:rect\(0|inset\((?:50|100)%)"), "clipped away (clip)"),
    (re.compile(r"(?<![\w-])color:transparent"), "transparent (color)"),
)
_EM_ONE = re.compile(r"font(?:-size)?:1(?:\.\d+)?(?:em|rem)")
_COLOUR = re.compile(r"(?<![\w-])(background(?:-color)?|color):([^;!]+)")
_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250)}
WHITE = (255, 255, 255)
RGB = tuple[int, int, int]


def hiding(style: str) -> str:
    """Why text with these CSS declarations is not seen; "" if it is."""
    compact = re.sub(r"\s+", "", style.lower())
    for pattern, reason in _HIDING:
        if pattern.search(_EM_ONE.sub("", compact)):
            return reason
    return ""


def colours(style: str) -> tuple[RGB | None, RGB | None]:
    """Text and background colour that CSS declarations name, each None if they do not."""
    found: dict[str, RGB | None] = {}
    for name, value in _COLOUR.findall(re.sub(r"\s+", "", style.lower())):
        found["text" if name == "color" else "background"] = parse_colour(value)
    return found.get("text"), found.get("background")


def parse_colour(value: str) -> RGB | None:
    """A colour by name (white, black), #rgb, #rrggbb or rgb(r,g,b); None for any other form."""
    value = value.strip().lower()
    if value in _NAMED:
        return _NAMED[value]
    if digits := re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", value):
        code = digits[1] if len(digits[1]) == 6 else "".join(digit * 2 for digit in digits[1])
        return int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)
    if parts := re.match(r"rgba?\((\d{1,3}),(\d{1,3}),(\d{1,3})", value):
        return int(parts[1]), int(parts[2]), int(parts[3])
    return None


def alike(one: RGB, other: RGB) -> bool:
    """Whether text of one colour cannot be told from a ground of the other."""
    return all(abs(a - b) <= 12 for a, b in zip(one, other, strict=True))
