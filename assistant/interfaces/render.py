"""Answers, hits and provisions as text for a terminal: rich where there is one, plain when piped."""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Iterable, Mapping

from rich.console import Console, Group, RenderableType
from rich.text import Text as RichText

from assistant.api import SourceSummary
from assistant.documents import Link
from assistant.retrieval import Hit
from assistant.types import (
    Answer,
    Checklist,
    Citation,
    Document,
    Noticed,
    Provision,
    Said,
    Statement,
)


def printable(text: str) -> str:
    """The text without what a terminal would obey: control and invisible characters."""
    return "".join(
        character
        for character in text
        if character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}
    )


class Text(RichText):
    """Text for a terminal, printable whatever it was made from."""

    def __init__(self, text: str = "", style: str = "") -> None:
        super().__init__(printable(text), style)

    def append(self, text: RichText | str, style: object = None) -> Text:
        """Add text; see printable."""
        super().append(printable(str(text)), style)  # type: ignore[arg-type]
        return self


_HEADINGS = {
    "action": "Do",
    "requirement": "Required by law",
    "evidence": "What studies, incidents and further sources show",
}
_BINDING = {
    "binding": "binding law",
    "internal": "binds inside the organisation",
    "voluntary": "voluntary",
    "evidence": "evidence",
}


def console(stderr: bool = False) -> Console:
    """A console that wraps for people and leaves lines whole for pipes; NO_COLOR is obeyed."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, highlight=False, markup=False, emoji=False, soft_wrap=not stream.isatty()
    )


def plain(renderable: RenderableType) -> str:
    """What a pipe would get: no colour, lines left whole."""
    stream = io.StringIO()
    Console(
        file=stream, color_system=None, highlight=False, markup=False, emoji=False, soft_wrap=True
    ).print(renderable)
    return stream.getvalue().rstrip("\n")


def answer(answered: Answer, first_line: int = 1) -> RenderableType:
    """What code showed, then the answer in the order of trust: answer, to do, law, evidence, sources.

    first_line: the line of its file with which the selected code begins.
    """
    said = _abstention(answered) if answered.outcome == "abstained" else _answered(answered)
    if not answered.noticed:
        return said
    return Group(*(_noticed(entry, first_line) for entry in answered.noticed), Text(), said)


def _noticed(entry: Noticed, first_line: int) -> Text:
    if entry.place == "manifest":
        return Text(f"Seen in your manifest: {entry.what} (line {entry.line})", "yellow")
    return Text(f"Seen in your code: {entry.what} (line {first_line - 1 + entry.line})", "yellow")


def _answered(answered: Answer) -> RenderableType:
    parts: list[RenderableType] = [
        _said(s, "bold") for s in answered.statements if s.role == "answer"
    ]
    for role, heading in _HEADINGS.items():
        statements = [s for s in answered.statements if s.role == role]
        if statements:
            parts += [Text(), Text(heading, "bold cyan")]
            parts += [_said(s, "", "  • ") for s in statements]
        elif role == "requirement" and not _cites_law(answered):
            parts += [Text(), Text(heading, "bold cyan"), Text("  – nothing specific found", "dim")]
    if answered.withheld:
        why = (
            "not borne by the sources" if _used_model(answered) else "not found again in the source"
        )
        parts += [Text(), Text(f"Withheld: {answered.withheld} ({why})", "yellow")]
    if answered.note:
        parts += [Text(), Text(answered.note, "yellow")]
    parts += [Text(), Text("Sources", "bold cyan")]
    parts += [_reference(citations) for citations in _by_provision(answered.citations)]
    parts += [Text(), Text(_footer(answered), "dim")]
    return Group(*parts)


def _used_model(answered: Answer) -> bool:
    return bool(answered.model or answered.note)


def _cites_law(answered: Answer) -> bool:
    return any(citation.binding == "binding" for citation in answered.citations)


def _said(statement: Statement, style: str, bullet: str = "") -> Text:
    text = Text(bullet)
    text.append(statement.text, style)
    text.append(" " + "".join(f"[{number}]" for number in statement.citations), "cyan")
    return text


def _by_provision(citations: Iterable[Citation]) -> list[list[Citation]]:
    """Citations of the same provision together, in order of first use."""
    groups: dict[tuple[str, str], list[Citation]] = {}
    for citation in citations:
        groups.setdefault((citation.source_id, citation.locator), []).append(citation)
    return list(groups.values())


def _reference(citations: list[Citation]) -> Text:
    citation = citations[0]
    text = Text("".join(f"[{entry.number}]" for entry in citations) + " ", "cyan")
    text.append(f"{citation.publisher} · {citation.title} {citation.version}".rstrip() + " · ")
    text.append(citation.locator + page(citation.page, citation.page_label), "bold")
    details = [citation.kind, _BINDING[citation.binding], citation.jurisdiction]
    details += [citation.date] if citation.date else []
    if citation.in_force_from:
        details.append(f"applies from {citation.in_force_from}")
    if citation.status != "current":
        details.append(citation.status)
    text.append(f" · {', '.join(details)} · {citation.url}", "dim")
    return text


def page(number: int | None, label: str | None) -> str:
    """The page as printed, and as counted where that differs; "" where there is none."""
    if number is None:
        return ""
    if label in (None, "", str(number)):
        return f", p. {number}"
    return f", p. {label} ({number} of the file)"


def _footer(answered: Answer) -> str:
    """How the question was read: a follow-up in full, and the phase of an answer."""
    read = [answered.read_as] if answered.read_as != answered.question else []
    if read and answered.read_by:
        read.append(f"rewritten by {answered.read_by}")
    if answered.statements:
        read.append(", ".join(answered.phases) or "any phase")
    if answered.model:
        read.append(f"written by {answered.model} and checked")
    corpus = f"corpus {answered.corpus_version}"
    return f"Read as: {' · '.join([*read, corpus])}" if read else corpus


def _abstention(answered: Answer) -> RenderableType:
    parts: list[RenderableType] = [Text(answered.reason, "bold yellow")]
    if answered.nearest:
        parts += [Text(), Text("What the sources do cover, nearest first", "bold cyan")]
        parts += [
            Text(f"  • {topic.question} ({topic.source_id} {topic.locator}: {topic.title})")
            for topic in answered.nearest
        ]
    parts += [Text(), Text(_footer(answered), "dim")]
    return Group(*parts)


def under_way(said: Iterable[Said]) -> RenderableType:
    """What was said so far of an answer that a model writes."""
    statements = [entry.statement for entry in said]
    lines = [_said(entry, "bold" if entry.role == "answer" else "") for entry in statements]
    return Group(*lines, Text("The language model writes …", "dim"))


def checklist(found: Checklist, titles: Mapping[str, str]) -> RenderableType:
    """The checklist by concern, its sources, and what comes before and after."""
    parts: list[RenderableType] = [Text(f"Checklist: {found.phase}", "bold")]
    concern = ""
    for item in found.items:
        if item.concern != concern:
            concern = item.concern
            parts += [Text(), Text(titles[concern], "bold cyan")]
        mark = "  § " if item.role == "requirement" else "  ☐ "
        parts.append(_said(Statement(item.text, item.role, item.citations), "", mark))
    if not found.items:
        parts += [Text(), Text("The sources hold nothing for this choice. Widen it.", "yellow")]
    parts += [Text(), Text("Sources", "bold cyan")]
    parts += [_reference(citations) for citations in _by_provision(found.citations)]
    ends = f"{found.left_out} further actions · corpus {found.corpus_version}"
    before = ", ".join(found.before) or "nothing"
    after = ", ".join(found.after) or "nothing"
    parts += [Text(), Text(f"§ law · before: {before} · after: {after} · {ends}", "dim")]
    return Group(*parts)


def hits(found: Iterable[Hit]) -> RenderableType:
    """One line a hit: score, source, locator, title."""
    lines = []
    for hit in found:
        text = Text(f"{hit.score:6.3f}  ", "dim")
        text.append(f"{hit.document.source.id} {hit.provision.locator}", "cyan")
        text.append(f"  {hit.provision.title}")
        lines.append(text)
    return Group(*lines) if lines else Text("Nothing found.")


def provision(entry: Provision, document: Document, links: Iterable[Link]) -> RenderableType:
    """A provision in full, with its source and crosswalk."""
    source = document.source
    parts: list[RenderableType] = [
        Text(f"{entry.locator} · {entry.title}", "bold"),
        Text(
            f"{source.publisher} · {source.title} {source.version} · {source.kind}, {_BINDING[source.binding]}, {source.jurisdiction}",
            "dim",
        ),
        Text(f"{entry.url} · licence {source.licence} · compared {source.compared}", "dim"),
    ]
    if entry.in_force_from:
        parts.append(Text(f"Applies from {entry.in_force_from}", "dim"))
    if entry.status != "current":
        parts.append(Text(f"Status: {entry.status}", "yellow"))
    parts += [Text(), Text(document.text[entry.segments[0].start : entry.stop]), Text()]
    facets = {
        "Phases": entry.phases,
        "Concerns": entry.concerns,
        "Roles": entry.roles,
        "Tests": entry.tests,
    }
    parts += [
        Text(f"{name}: {', '.join(values)}", "dim") for name, values in facets.items() if values
    ]
    related = [Text(f"  {link.match}: {link.object} ({link.origin})") for link in links]
    if related:
        parts += [Text(), Text("Crosswalk", "bold cyan"), *related]
    return Group(*parts)


def sources(entries: Iterable[SourceSummary]) -> RenderableType:
    """One line a source: how many provisions, kind, id, title, phases unless it has all seven."""
    lines = []
    total = 0
    for entry in entries:
        total += entry.provisions
        text = Text(f"{entry.provisions:5}  {entry.kind:10} ")
        text.append(f"{entry.id:32} ", "cyan")
        text.append(entry.title)
        if len(entry.phases) < 7:
            text.append(f" ({', '.join(entry.phases)})", "dim")
        lines.append(text)
    lines.append(Text(f"{total:5}  provisions in {len(lines)} sources", "bold"))
    return Group(*lines)


def coverage(matrix: Mapping[str, Mapping[str, int]], titles: Mapping[str, str]) -> RenderableType:
    """The matrix of concern by phase."""
    lines = [Text(f"{'':36}" + "".join(f"{titles[phase]:>17}" for phase in matrix), "bold")]
    for concern in next(iter(matrix.values())):
        counts = "".join(f"{row[concern]:>17}" for row in matrix.values())
        lines.append(Text(f"{titles[concern]:36}{counts}"))
    return Group(*lines)
