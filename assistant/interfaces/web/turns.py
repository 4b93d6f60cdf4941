"""Answer -> HTML: the turns of a conversation, in the order of trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from assistant.interfaces.render import page
from assistant.interfaces.web.markup import attributes, badge, cite, opens, prose, text
from assistant.types import Answer, Citation, Role, Statement

HEADINGS: dict[Role, str] = {
    "action": "Do",
    "requirement": "Required by law",
    "evidence": "What studies, incidents and further sources show",
}
"""Heading of what is said after the answer itself, in the order shown."""


def under_way(statements: Sequence[Statement], citations: Sequence[Citation]) -> str:
    """What has been said so far; what follows is added below, so that nothing moves."""
    return waiting("Reading the sources …") + _said(
        statements, {citation.number: citation for citation in citations}, False
    )


def answered(
    answer: Answer,
    phases: Mapping[str, str],
    asked_of: str = "",
    limits: Sequence[str] = (),
    without: Sequence[str] = (),
) -> str:
    """A whole turn but its question: what is said, its sources, and what can be done with it.

    phases: titles by id. asked_of: the corpus version that a permalink names, or "". limits: the kinds,
    jurisdictions and sources that alone were to be cited. without: the collections left out.
    """
    by_number = {citation.number: citation for citation in answer.citations}
    parts = [
        _read_as(answer, phases, limits, without),
        _said(answer.statements, by_number, True)
        if answer.outcome == "answered"
        else _abstained(answer),
    ]
    parts += [f'<p class="note">{text(words)}</p>' for words in _notes(answer)]
    if asked_of and asked_of != answer.corpus_version:
        parts.append(
            f'<p class="note">The link was made with corpus {text(asked_of)}; this is corpus '
            f"{text(answer.corpus_version)}, so the answer may differ.</p>"
        )
    if answer.citations:
        parts.append(_references(answer.citations))
    return "".join([*parts, _ACTIONS])


def _notes(answer: Answer) -> Iterator[str]:
    """What was withheld, what became of a model's answer, and who wrote it."""
    if answer.withheld and (answer.model or answer.note):
        yield (
            f"Withheld of what the language model wrote: {answer.withheld}. The sources do not bear "
            "it, or its quote was not found again."
        )
    elif answer.withheld:
        yield (
            f"{answer.withheld} statements are withheld: their quotes were not found again in the "
            "source."
        )
    if answer.note:
        yield answer.note
    if answer.model:
        yield f"Written by {answer.model} and checked, sentence by sentence, against its sources."


def refused(message: str) -> str:
    """A turn whose question could not be taken, with the remedy."""
    return f'<p class="refused"><strong>Not asked.</strong> {text(message)}</p>'


def waiting(message: str) -> str:
    """A turn that waits, for the index or for its place."""
    return f'<p class="waiting">{text(message)}</p>'


def spoken(answer: Answer) -> str:
    """What a screen reader says when an answer has come."""
    if answer.outcome == "abstained":
        return answer.reason
    return (
        f"{answer.statements[0].text} {len(answer.statements)} statements, "
        f"{len(answer.citations)} citations."
    )


def _said(
    statements: Sequence[Statement], by_number: Mapping[int, Citation], complete: bool
) -> str:
    lead = "".join(
        f'<p class="lead">{_statement(entry, by_number)}</p>'
        for entry in statements
        if entry.role == "answer"
    )
    parts = [lead]
    for role, heading in HEADINGS.items():
        entries = [entry for entry in statements if entry.role == role]
        later = complete or any(entry.role == "evidence" for entry in statements)
        if entries:
            items = "".join(f"<li>{_statement(entry, by_number)}</li>" for entry in entries)
            parts.append(f'<h3>{heading}</h3><ul class="said said-{role}">{items}</ul>')
        elif role == "requirement" and later and not _cites_law(by_number):
            parts.append(f'<h3>{heading}</h3><p class="none">Nothing specific found.</p>')
    return "".join(parts)


def _cites_law(by_number: Mapping[int, Citation]) -> bool:
    return any(citation.binding == "binding" for citation in by_number.values())


def _statement(statement: Statement, by_number: Mapping[int, Citation]) -> str:
    numbers = "".join(cite(by_number[number]) for number in statement.citations)
    return f'{prose(statement.text)}&nbsp;<span class="cites">{numbers}</span>'


def _abstained(answer: Answer) -> str:
    kind, _, reason = answer.reason.partition(": ")
    words = f"<strong>{text(kind)}.</strong> {text(reason[:1].upper() + reason[1:])}"
    topics = "".join(
        f'<li><button type="button" class="ask"{attributes(data_ask=topic.question)}>'
        f"{text(topic.question)}</button>"
        f'<a class="locator"{opens(topic.source_id, topic.locator)}>{text(topic.locator)}</a></li>'
        for topic in answer.nearest
    )
    nearest = f"<h3>What the sources do cover, nearest first</h3><ul class='topics'>{topics}</ul>"
    return f'<div class="abstained"><p>{words}</p></div>{nearest if topics else ""}'


def _references(citations: Sequence[Citation]) -> str:
    groups: dict[tuple[str, str], list[Citation]] = {}
    for citation in citations:
        groups.setdefault((citation.source_id, citation.locator), []).append(citation)
    items = "".join(f"<li>{_reference(group)}</li>" for group in groups.values())
    return f'<h3>Sources</h3><ol class="references">{items}</ol>'


def _reference(citations: Sequence[Citation]) -> str:
    first = citations[0]
    numbers = "".join(cite(citation) for citation in citations)
    pages = "".join(dict.fromkeys(page(entry.page, entry.page_label) for entry in citations))
    link = opens(first.source_id, first.locator, first.start, first.stop)
    return (
        f'<span class="cites">{numbers}</span><span class="reference"><a{link}>{text(first.title)} · '
        f"{text(first.locator + pages)}</a>{badge(first.kind, first.binding)}</span>"
    )


def _read_as(
    answer: Answer, phases: Mapping[str, str], limits: Sequence[str], without: Sequence[str]
) -> str:
    """What was answered: the phase, which can be corrected, and of a follow-up the whole question."""
    read = ", ".join(phases[phase] for phase in answer.phases) or "any phase"
    by = f", rewritten by {text(answer.read_by)}" if answer.read_by else ""
    follows = (
        f'<p class="meant">Read as: “{text(answer.read_as)}”{by}</p>'
        if answer.read_as != answer.question
        else ""
    )
    if limits:
        follows += f'<p class="meant">Limited to {text(", ".join(limits))}</p>'
    if without:
        follows += f'<p class="meant">Not searched: {text(", ".join(without))}</p>'
    choices = "".join(
        f'<button type="button"{attributes(data_phase=phase)}>{text(title)}</button>'
        for phase, title in {"": "Any", **phases}.items()
        if (phase,) != answer.phases
    )
    return (
        f'<details class="read-as"><summary>Phase: <strong>{text(read)}</strong> '
        f'<span class="change">change</span></summary>'
        f'<div role="group" aria-label="Ask again as another phase">{choices}</div></details>{follows}'
    )


_ACTIONS = """<div class="actions" role="group" aria-label="This answer">
<button type="button" data-do="copy">Copy</button>
<button type="button" data-do="link">Link</button>
<button type="button" data-do="edit">Edit question</button>
<button type="button" data-do="up" aria-pressed="false">Helpful</button>
<button type="button" data-do="down" aria-pressed="false">Not helpful</button>
</div>"""
