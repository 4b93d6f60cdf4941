"""Figures of a run as a Markdown table and as one self-contained HTML page with plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from evals.measures import RANKING, bootstrap_interval, mean, risk_coverage
from evals.questions import ANSWERABLE
from evals.summary import ANSWER

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
    """Means of some measures, with their intervals, for each group, as a Markdown table."""
    lines = [f"| {key} | n | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for group, rows in groups(table, key).items():
        cells = [_with_interval(*_mean_of(rows, name)) for name in names]
        lines.append(f"| {group} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def groups(table: Table, key: str) -> dict[str, list[Mapping[str, Any]]]:
    """Rows by what a column holds, in order; a row whose column is a list is in several groups."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in table:
        for name in row[key] if isinstance(row[key], list) else [row[key]]:
            found.setdefault(str(name or "none"), []).append(row)
    return dict(sorted(found.items()))


def _mean_of(rows: Table, name: str) -> tuple[float, float, float]:
    values = [float(row[name]) for row in rows if row[name] is not None]
    return mean(values), *bootstrap_interval(values)


def _with_interval(value: float, low: float, high: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f} ({low:.2f}–{high:.2f})"


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1f}" if name.endswith("ms") else f"{value:.3f}"


def html(title: str, figures: Figures, table: Table) -> str:
    """One page: figures, groups, risk-coverage curve, and a row for each question."""
    scores = [float(row["probability"]) for row in table]
    right = [row["kind"] in ANSWERABLE for row in table]
    curve = [(coverage, risk) for _, coverage, risk in risk_coverage(scores, right)]
    sections = "".join(
        f"<h2>By {key}</h2>{_intervals(table, key)}"
        f"{_html_table(by_group(table, key, [*RANKING, 'answered', *ANSWER]))}"
        for key in ("kind", "phase", "source kind", "topic")
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
        f"the share of those answered that should not be.</p>{_plot(curve)}{sections}"
        f"<h2>Questions</h2><table class=questions><tr>{head}</tr>{rows}</table></html>\n"
    )


_STYLE = (
    "body{font:14px sans-serif;margin:2em}p{max-width:60em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:2px 6px;text-align:left;vertical-align:top}"
    ".questions td:nth-child(3){min-width:24em}"
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


def _intervals(table: Table, key: str, name: str = RANKING[0]) -> str:
    """The mean and the interval of a measure from 0 to 1 for each group that has one, as SVG."""
    found = {group: _mean_of(rows, name) for group, rows in groups(table, key).items()}
    found = {group: figures for group, figures in found.items() if not math.isnan(figures[0])}
    base = 20 * len(found) + 10
    lines = "".join(
        f'<text x="190" y="{y + 4}" text-anchor="end">{escape(group)}</text>'
        f'<path d="M{200 + 240 * low:.1f} {y}H{200 + 240 * high:.1f}" stroke="#0a4a8c"/>'
        f'<circle cx="{200 + 240 * value:.1f}" cy="{y}" r="4" fill="#0a4a8c"/>'
        for y, (group, (value, low, high)) in zip(
            range(20, base + 10, 20), found.items(), strict=True
        )
    )
    return (
        f'<svg viewBox="0 0 480 {base + 40}" width="480" role="img">'
        f"<title>{escape(name)} by {escape(key)}, with 95 % intervals</title>"
        f'<path d="M200 10V{base}H440" fill="none" stroke="#333"/>{lines}'
        f'<text x="320" y="{base + 24}" text-anchor="middle">{escape(name)}, 0 to 1</text></svg>'
    )
