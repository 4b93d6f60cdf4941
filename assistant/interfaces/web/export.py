"""Answer -> Markdown, in which a source's words stay words."""

from __future__ import annotations

import re

from assistant.interfaces.render import page, printable
from assistant.interfaces.web.markup import safe_url
from assistant.interfaces.web.turns import HEADINGS
from assistant.types import Answer, Citation, Statement

_CODE = re.compile(r"(`[^`\n]+`)")
_SPECIAL = re.compile(r"([\\`*_\[\]<>!#|~&])")
_WEIGHT = {
    "binding": "binding law",
    "internal": "own rule",
    "voluntary": "voluntary guidance",
    "evidence": "evidence",
}


def escaped(value: str) -> str:
    """Text that Markdown shows as it is: no image, link or HTML comes of it; code stays code."""
    parts = _CODE.split(" ".join(printable(value).split()))
    return "".join(
        part if place % 2 else _SPECIAL.sub(r"\\\1", part) for place, part in enumerate(parts)
    )


def reference(citation: Citation) -> str:
    """A citation as a line of a list of references."""
    details = [citation.kind, _WEIGHT[citation.binding], citation.jurisdiction, citation.date]
    if citation.in_force_from:
        details.append(f"applies from {citation.in_force_from}")
    details = [detail for detail in details if detail]
    url = safe_url(citation.url)
    named = f"{citation.publisher}: {citation.title} {citation.version}, {citation.locator}"
    named += page(citation.page, citation.page_label)
    return f"[{citation.number}] {escaped(named)} ({escaped(', '.join(details))})" + (
        f" <{url.replace('<', '%3C').replace('>', '%3E').replace(' ', '%20')}>" if url else ""
    )


def markdown(answer: Answer) -> str:
    """The question, what was said in the order of trust, and the references."""
    lines = [f"## {escaped(answer.question)}", ""]
    if answer.outcome == "abstained":
        lines += [escaped(answer.reason), ""]
        lines += [f"- {escaped(topic.question)}" for topic in answer.nearest]
    lines += [_said(entry) for entry in answer.statements if entry.role == "answer"]
    for role, heading in HEADINGS.items():
        entries = [entry for entry in answer.statements if entry.role == role]
        if entries:
            lines += ["", f"### {heading}", "", *(f"- {_said(entry)}" for entry in entries)]
    if answer.citations:
        lines += ["", "### Sources", ""]
        lines += [f"- {reference(citation)}" for citation in answer.citations]
    return "\n".join([*lines, "", f"Corpus {answer.corpus_version}", ""])


def _said(statement: Statement) -> str:
    return escaped(statement.text) + "".join(f" [{number}]" for number in statement.citations)
