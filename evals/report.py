"""Figures of a run as a Markdown table and as one self-contained HTML page with plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from evals.measures import RANKING, mean, risk_coverage
from evals.questions import ANSWERABLE

Table = Sequence[Mapping[str, Any]]
Figures = Mapping[str, Mapping[str, float]]


def markdown(figures: Figures) -> str:
    """The figures as a Markdown table: measure, value, 95 % interval, number of questions."""
    lines = ["| measure | value | 95 % interval | questions |", "|---|---|---|---|"]
    for name, figure in figures.items():
        low, high = figure["low"], figure["high"]
        interval = "" if math.isnan(low) else f"{_number(name, low)} – {_number(name, high)}"
        value = _number(name, figure["value"])
        lines.append(f"| {name} | {value} | {interval} | {figure['n']:.0f} |")
    return "\n".join(lines) + "\n"


def by_group(table: Table, key: str, names: Sequence[str]) -> str:
    """Means of some measures for each value of a column, as a Markdown table."""
    groups = sorted({str(row[key]) for row in table})
    lines = [f"| {key} | n | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for group in groups:
        rows = [row for row in table if str(row[key]) == group]
        cells = [_number(name, _mean_of(rows, name)) for name in names]
        lines.append(f"| {group} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_of(rows: Table, name: str) -> float:
    return mean([float(row[name]) for row in rows if row[name] is not None])


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1f}" if name.endswith("ms") else f"{value:.3f}"


def html(title: str, figures: Figures, table: Table) -> str:
    """One page: figures, groups, risk-coverage curve, and a row for each question."""
    scores = [float(row["probability"]) for row in table]
    right = [row["kind"] in ANSWERABLE for row in table]
    curve = [(coverage, risk) for _, coverage, risk in risk_coverage(scores, right)]
    groups = "".join(
        f"<h2>By {key}</h2>{_html_table(by_group(table, key, [*RANKING, 'answered', 'first']))}"
        for key in ("kind", "phase", "topic")
    )
    columns = ["id", "kind", "question", "answered", "probability", *RANKING, "first", "facts"]
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(row[name]))}</td>" for name in columns) + "</tr>"
        for row in table
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{_html_table(markdown(figures))}"
        "<h2>Risk and coverage</h2><p>Questions are answered from the surest down; the curve gives "
        f"the share of those answered that should not be.</p>{_plot(curve)}{groups}"
        f"<h2>Questions</h2><table><tr>{head}</tr>{rows}</table></html>\n"
    )


_STYLE = (
    "body{font:14px sans-serif;margin:2em;max-width:80em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:2px 6px;text-align:left;vertical-align:top}"
)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _html_table(text: str) -> str:
    rows = [line.strip("|").split("|") for line in text.splitlines() if not line.startswith("|--")]
    cell: Callable[[str], str] = lambda value: f"<td>{escape(value.strip())}</td>"  # noqa: E731
    return (
        "<table>" + "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows) + "</table>"
    )


def _plot(points: Sequence[tuple[float, float]]) -> str:
    """A line from (0..1, 0..1) points as SVG."""
    path = " ".join(f"{40 + 400 * x:.1f},{220 - 200 * y:.1f}" for x, y in points)
    return (
        '<svg viewBox="0 0 480 260" width="480" role="img"><title>Risk by coverage</title>'
        '<path d="M40 20V220H440" fill="none" stroke="#333"/>'
        f'<polyline points="{path}" fill="none" stroke="#0a4a8c" stroke-width="2"/>'
        '<text x="240" y="250" text-anchor="middle">coverage, 0 to 1</text>'
        '<text x="14" y="120" transform="rotate(-90 14 120)" text-anchor="middle">risk, 0 to 1</text>'
        "</svg>"
    )
