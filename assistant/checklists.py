"""Phase -> Checklist: what the sources ask for in a phase, by concern, without a question.

Provisions about the phase and concern above all come first, then those that more sources agree with
(agreement is read off the crosswalk), and of each the actions nearest to the concern's definition. An
action that another source has in other words becomes a further citation of the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from assistant.citing import ReadText, bind
from assistant.embedding import Vectors
from assistant.generation import MAX_CITATIONS, SAME, Draft, Span, spans_of
from assistant.index import Index
from assistant.retrieval import Filters, Retriever
from assistant.taxonomy import Term
from assistant.types import Checklist, ChecklistItem, Provision, Role

PER_CONCERN = 4
"""How many actions, and half as many requirements of law, a concern gets unless told otherwise."""
_OBLIGES = re.compile(r"\b(?:must|shall|prohibited)\b")
_AUTHORITY = re.compile(
    r"\b(?:Commission|AI Office|Board|Member States?|authorit(?:y|ies)|bod(?:y|ies)) (?:\w+ ){0,2}must\b"
)
"""Duties of those who supervise are left out: the list is for those who build."""


def checklist(
    phase: str,
    concerns: tuple[str, ...],
    filters: Filters,
    per_concern: int,
    retriever: Retriever,
    read_text: ReadText,
) -> Checklist:
    """The checklist of a phase for some concerns, or for all if none is named."""
    index = retriever.index
    taxonomy = index.corpus.taxonomy
    chosen = [term for term in taxonomy.concerns.values() if not concerns or term.id in concerns]
    texts = [f"{taxonomy.phases[phase].title}: {term.title}. {term.definition}" for term in chosen]
    maker = _Maker(phase, filters, index)
    for term, vector in zip(chosen, retriever.embedder.embed(texts), strict=True):
        maker.add("requirement", term, vector, -(-per_concern // 2))
        maker.add("action", term, vector, per_concern)
    statements, citations, withheld = bind(maker.drafts, index.corpus.by_source, read_text)
    by_number = {citation.number: citation for citation in citations}
    of_span = {
        (draft.spans[0].provision.source_id, draft.spans[0].segment.start): concern
        for draft, concern in zip(maker.drafts, maker.concerns, strict=True)
    }
    items = []
    for statement in statements:
        first = by_number[statement.citations[0]]
        concern = of_span[first.source_id, first.start]
        items.append(ChecklistItem(statement.text, concern, statement.role, statement.citations))
    phases = list(taxonomy.phases)
    place = phases.index(phase)
    return Checklist(
        phase=phase,
        before=tuple(phases[:place]),
        after=tuple(phases[place + 1 :]),
        items=tuple(items),
        citations=citations,
        left_out=maker.left_out,
        withheld=withheld,
        corpus_version=index.corpus.version,
    )


class _Maker:
    """Collects drafts, each with its concern, and counts the actions that found no place."""

    def __init__(self, phase: str, filters: Filters, index: Index) -> None:
        self.phase, self.index = phase, index
        self.drafts: list[Draft] = []
        self.concerns: list[str] = []
        self.left_out = 0
        self._said: set[tuple[str, int]] = set()
        self._vectors: list[Vectors] = []
        self._binding = {
            document.source.id: document.source.binding
            for document in index.corpus.documents
            if filters.allows(document.source)
        }
        self._provisions = [
            provision
            for provision in index.corpus.provisions
            if provision.source_id in self._binding
            and phase in provision.phases
            and provision.status == "current"
        ]

    def add(self, role: Role, concern: Term, vector: Vectors, most: int) -> None:
        """Add up to ``most`` drafts of a concern, one from each provision before a second from any.

        vector: the concern's definition, embedded; shape (dimension,).
        """
        binding = "binding" if role == "requirement" else "voluntary"
        groups = [
            self._sayable(provision, role, vector)
            for provision in self._provisions
            if concern.id in provision.concerns and self._binding[provision.source_id] == binding
        ]
        ranked = sorted(
            filter(None, groups),
            key=lambda spans: (-self._weight(spans[0], concern, vector), spans[0].provision.id),
        )
        added = 0
        for span in _in_turn(ranked):
            key = span.provision.source_id, span.segment.start
            if key in self._said:
                continue
            if added == most:
                self.left_out += 1
                continue
            self._said.add(key)
            if not self._corroborates(span, role):
                self.drafts.append(Draft(role, [span]))
                self.concerns.append(concern.id)
                self._vectors.append(span.vector)
                added += 1

    def _sayable(self, provision: Provision, role: Role, vector: Vectors) -> list[Span]:
        """What a provision asks for: its actions, the nearest first; of a law what somebody must do."""
        spans = spans_of(provision, self.index)
        if role == "requirement":
            text = self.index.corpus.by_source[provision.source_id].quote(provision.segments[0])
            return spans[:1] if _OBLIGES.search(text) and not _AUTHORITY.search(text) else []
        actions = [span for span in spans if span.segment.kind == "do"]
        return sorted(actions, key=lambda span: -float(span.vector @ vector))

    def _corroborates(self, span: Span, role: Role) -> bool:
        """Whether a draft says the same already; if from another source, it is cited there too."""
        if not self._vectors:
            return False
        cosines = np.stack(self._vectors) @ span.vector
        place = int(cosines.argmax())
        if cosines[place] < SAME:
            return False
        draft = self.drafts[place]
        sources = {entry.provision.source_id for entry in draft.spans}
        if (
            draft.role == role
            and span.provision.source_id not in sources
            and len(draft.spans) < MAX_CITATIONS
        ):
            draft.spans.append(span)
        return True

    def _weight(self, span: Span, concern: Term, vector: Vectors) -> float:
        """How much a provision is about the phase and the concern, and how many sources agree."""
        provision = span.provision
        links = self.index.corpus.related.get(provision.id, ())
        same = {link.object.partition("#")[0] for link in links if link.match in ("exact", "close")}
        near = {link.object.partition("#")[0] for link in links} - same
        return (
            2.0 * (provision.phases[0] == self.phase)
            + 2.0 * (provision.concerns[0] == concern.id)
            + 5.0 * float(span.vector @ vector)
            + 0.5 * min(len(same) + 0.25 * len(near), 4.0)
        )


def _in_turn(groups: list[list[Span]]) -> Iterator[Span]:
    """The first of each group, then the second of each, and so on."""
    for place in range(max(map(len, groups), default=0)):
        for group in groups:
            if place < len(group):
                yield group[place]
