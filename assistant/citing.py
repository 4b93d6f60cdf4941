"""Drafts -> Statements with Citations. Every quote is read again from its document before it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from assistant.generation import Draft, Span
from assistant.types import Citation, Document, Statement

ReadText = Callable[[str], tuple[str, str]]
"""Source id -> the document's text now, and its sha256."""


def bind(
    drafts: Iterable[Draft], documents: Mapping[str, Document], read_text: ReadText
) -> tuple[tuple[Statement, ...], tuple[Citation, ...], int]:
    """Give every draft its words and citations; leave out those whose quotes are not found.

    The words of a statement are its first span's; a span whose text now differs from the text at
    the same place when the corpus was opened, or whose document has another digest, bears nothing.
    ``documents`` holds the documents of all spans by source id.
    """
    citations: dict[tuple[str, int, int], Citation] = {}
    statements: list[Statement] = []
    withheld = 0
    for draft in drafts:
        sound = [span for span in draft.spans if _found_again(span, documents, read_text)]
        if not sound or sound[0] is not draft.spans[0]:
            withheld += 1
            continue
        numbers = []
        for span in sound:
            key = (span.provision.source_id, span.segment.start, span.segment.stop)
            if key not in citations:
                citations[key] = _citation(len(citations) + 1, span, documents)
            numbers.append(citations[key].number)
        text = documents[sound[0].provision.source_id].quote(sound[0].segment)
        statements.append(Statement(text, draft.role, tuple(numbers)))
    return tuple(statements), tuple(citations.values()), withheld


def _found_again(span: Span, documents: Mapping[str, Document], read_text: ReadText) -> bool:
    document = documents[span.provision.source_id]
    text, sha256 = read_text(span.provision.source_id)
    quote = document.quote(span.segment)
    return (
        bool(quote)
        and sha256 == document.sha256
        and text[span.segment.start : span.segment.stop] == quote
    )


def _citation(number: int, span: Span, documents: Mapping[str, Document]) -> Citation:
    provision = span.provision
    document = documents[provision.source_id]
    page = document.page(span.segment.start)
    source = document.source
    return Citation(
        number=number,
        source_id=source.id,
        title=source.title,
        publisher=source.publisher,
        kind=source.kind,
        binding=source.binding,
        jurisdiction=source.jurisdiction,
        version=source.version,
        date=source.published,
        in_force_from=provision.in_force_from,
        status=provision.status,
        locator=provision.locator,
        heading=provision.title,
        url=provision.url,
        page=page.number if page else None,
        page_label=page.label if page else None,
        quote=document.quote(span.segment),
        start=span.segment.start,
        stop=span.segment.stop,
        document_sha256=document.sha256,
    )
