"""The matrix of phase by concern as an SVG image; no font or script from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

_LEFT, _TOP, _CELL_W, _CELL_H = 230, 44, 104, 24


def coverage_svg(matrix: Mapping[str, Mapping[str, int]], titles: Mapping[str, str]) -> str:
    """Counts of provisions as a heat map: rows are concerns, columns phases.

    matrix: phase -> concern -> count. titles: what to print for each phase and concern.
    """
    phases = list(matrix)
    concerns = list(next(iter(matrix.values())))
    most = max(count for row in matrix.values() for count in row.values()) or 1
    width = _LEFT + _CELL_W * len(phases) + 10
    height = _TOP + _CELL_H * len(concerns) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="sans-serif" font-size="12">',
        "<title>Provisions by lifecycle phase and concern</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for column, phase in enumerate(phases):
        x = _LEFT + column * _CELL_W + _CELL_W / 2
        parts.append(
            f'<text x="{x}" y="{_TOP - 14}" text-anchor="middle" fill="#1b1f24">{escape(titles[phase])}</text>'
        )
    for line, concern in enumerate(concerns):
        y = _TOP + line * _CELL_H
        parts.append(
            f'<text x="{_LEFT - 10}" y="{y + 16}" text-anchor="end" fill="#1b1f24">{escape(titles[concern])}</text>'
        )
        for column, phase in enumerate(phases):
            parts += _cell(_LEFT + column * _CELL_W, y, matrix[phase][concern], most)
    return "\n".join([*parts, "</svg>", ""])


def _cell(x: int, y: int, count: int, most: int) -> list[str]:
    """A square whose blue deepens with the square root of the count, with the count in it."""
    share = (count / most) ** 0.5
    red, green, blue = (round(255 - share * (255 - end)) for end in (10, 74, 140))
    ink = "#ffffff" if share > 0.5 else "#1b1f24"
    return [
        f'<rect x="{x + 1}" y="{y + 1}" width="{_CELL_W - 2}" height="{_CELL_H - 2}" fill="rgb({red},{green},{blue})"/>',
        f'<text x="{x + _CELL_W / 2}" y="{y + 16}" text-anchor="middle" fill="{ink}">{count}</text>',
    ]
