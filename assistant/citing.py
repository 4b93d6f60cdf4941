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
    binder = Binder(documents, read_text)
    statements = [statement for draft in drafts if (statement := binder.quote(draft))]
    return tuple(statements), tuple(binder.citations), binder.withheld


class Binder:
    """Numbers citations in the order of their first use.

    documents: those of all spans, by source id. citations: those so far. withheld: how many drafts
    could not be quoted.
    """

    def __init__(self, documents: Mapping[str, Document], read_text: ReadText) -> None:
        self.documents, self._read_text = documents, read_text
        self._numbers: dict[tuple[str, int, int], int] = {}
        self.citations: list[Citation] = []
        self.withheld = 0

    def quote(self, draft: Draft) -> Statement | None:
        """The statement of a draft; None if its first quote is not found in its source."""
        sound = [span for span in draft.spans if self.found(span)]
        if not sound or sound[0] is not draft.spans[0]:
            self.withheld += 1
            return None
        text = self.documents[sound[0].provision.source_id].quote(sound[0].segment)
        return Statement(text, draft.role, self.cite(sound))

    def found(self, span: Span) -> bool:
        """Whether a span's text still stands where it was read."""
        return _found_again(span, self.documents, self._read_text)

    def cite(self, spans: Iterable[Span]) -> tuple[int, ...]:
        """The numbers of spans; a new one for each that was not cited yet."""
        numbers = []
        for span in spans:
            key = (span.provision.source_id, span.segment.start, span.segment.stop)
            if key not in self._numbers:
                self._numbers[key] = len(self._numbers) + 1
                self.citations.append(_citation(self._numbers[key], span, self.documents))
            numbers.append(self._numbers[key])
        return tuple(numbers)


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
