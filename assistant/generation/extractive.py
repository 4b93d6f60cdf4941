"""Hits -> Drafts: the extractive answer, assembled from whole sentences of the best provisions.

No language model: the same index and question give the same drafts. A draft names spans, not words;
``answering`` reads the words from the documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from assistant.embedding import Vectors
from assistant.index import Index
from assistant.questions import Question, content_words
from assistant.retrieval import Hit, Retrieved
from assistant.types import Provision, Role, Segment

MAX_ACTIONS = 6
MAX_REQUIREMENTS = 3
MAX_OWN = 2
MAX_EVIDENCE = 2
MAX_CITATIONS = 3
MAX_NAMED = 10
CORROBORATING = 10
"""How many of the best hits are looked through for further sources of a statement."""
# The relevance below which a provision is too far from the question for each part, chosen on
# development questions: lower ones add citations that do not help faster than ones that do.
_NEAR = {"own": 0.3, "action": 0.6, "requirement": 0.6, "evidence": 0.4}
_LEADS = 0.8
"""Which share of the best relevance a rule needs to lead an answer before an incident or study."""
_AS_GOOD = 0.95
"""The same for passages of the library, among which the nearest sentence then leads."""
SAME = 0.72
"""Cosine of two sentences from which they count as the same rule in other words."""
_SAME_LINKED = 0.5
"""The same where the crosswalk says that the provisions are an exact or close match."""
_RELATED = 0.21
"""Cosine of question and sentence from which a further sentence is worth saying."""
_EVIDENCE_COSINE = 0.3
_ABOUT = frozenset(
    [
        "article",
        "art",
        "annex",
        "recital",
        "action",
        "subcategory",
        "requirement",
        "technique",
        "mitigation",
        "mean",
        "means",
        "meaning",
        "ask",
        "asks",
        "require",
        "requires",
        "control",
        "incident",
        "risk",
        "aisvs",
        "owasp",
        "nist",
        "atlas",
        "mitre",
        "gdpr",
        "act",
    ]
)


@dataclass(frozen=True, slots=True)
class Span:
    """A sentence of a provision, with its vector."""

    provision: Provision
    segment: Segment
    vector: Vectors = field(repr=False)


@dataclass(slots=True)
class Draft:
    """A statement to be: its role, and the spans that say it; the first gives the words."""

    role: Role
    spans: list[Span]


def spans_of(provision: Provision, index: Index) -> list[Span]:
    """The sentences of a provision, in its order."""
    rows = index.rows_of[index.number[provision.id]]["segment"]
    return [
        Span(provision, segment, index.vectors[row])
        for segment, row in zip(provision.segments, rows, strict=True)
    ]


def spans_in(provision: Provision, found: Retrieved, index: Index) -> list[Span]:
    """The sentences of a provision that was found, in the corpus or in the library."""
    vectors = found.sentences.get(provision.id)
    if vectors is None:
        return spans_of(provision, index)
    return [
        Span(provision, segment, vector)
        for segment, vector in zip(provision.segments, vectors, strict=True)
    ]


def extract(question: Question, found: Retrieved, index: Index) -> list[Draft]:
    """Choose what to say: the direct answer, what to do, what the law requires, what happened."""
    return _Extractor(question, found, index).drafts()


class _Extractor:
    def __init__(self, question: Question, found: Retrieved, index: Index) -> None:
        self.question, self.found, self.index = question, found, index
        self.drafted: list[Draft] = []

    def drafts(self) -> list[Draft]:
        if self.found.exact:
            self._named(self.found.exact)
        elif self.found.hits:
            self._asked()
        return self.drafted

    def _named(self, provisions: Sequence[Provision]) -> None:
        """An identifier was named: what it says, in its own order; first what was asked about it."""
        spans = [span for provision in provisions for span in self._spans(provision)]
        if self._asks_more():
            self._say("answer", max(spans, key=self._cosine))
        for span in spans if len(provisions) == 1 else _openings(spans):
            self._say(self._role(span, first=span.provision is provisions[0]), span)
            if len(self.drafted) >= MAX_NAMED:
                break
        for other in self._same(provisions[0])[:MAX_CITATIONS]:
            self._say("evidence", self._spans(self.index.corpus.by_id[other])[0])

    def _asks_more(self) -> bool:
        """Whether the question says more than an identifier and that one wants to know about it."""
        named = " ".join(mention.text for mention in self.question.mentions)
        return bool(set(self.question.words) - set(content_words(named)) - _ABOUT)

    def _role(self, span: Span, first: bool) -> Role:
        binding = self._binding(span.provision)
        if span.segment.kind == "do":
            return "requirement" if binding == "binding" else "action"
        if first:
            return "answer"
        return "requirement" if binding == "binding" else "evidence"

    def _asked(self) -> None:
        hits = self.found.hits
        lead = self._lead(hits)
        self._say("answer", self._direct(lead))
        self._further(lead)
        self._own(lead)
        self._actions(lead)
        self._requirements(lead)
        self._evidence(lead)
        for draft in self.drafted:
            self._corroborate(draft)

    def _lead(self, hits: Sequence[Hit]) -> Hit:
        """The hit that answers: the best one, and not an incident or study unless asked for those.

        Of passages of the library that are as relevant, the one whose sentence is nearest.
        """
        lead = hits[0]
        if not self.question.events:
            for hit in hits[:5]:
                if (
                    hit.document.source.binding != "evidence"
                    and hit.relevance >= _LEADS * hits[0].relevance
                ):
                    lead = hit
                    break
        if lead.provision.id not in self.found.sentences:
            return lead
        as_good = [
            hit
            for hit in hits[:5]
            if hit.provision.id in self.found.sentences
            and hit.document.source.binding == lead.document.source.binding
            and hit.relevance >= _AS_GOOD * lead.relevance
        ]
        return max(as_good, key=lambda hit: max(map(self._cosine, self._spans(hit.provision))))

    def _direct(self, lead: Hit) -> Span:
        """The lead's opening sentence, unless another of its statements is clearly nearer.

        Of a passage of the library, which nobody wrote to open with its answer, the nearest.
        """
        spans = self._spans(lead.provision)
        if lead.provision.id in self.found.sentences:
            return max(spans, key=self._cosine)
        statements = [span for span in spans if span.segment.kind == "statement"]
        best = max(statements, key=self._cosine)
        return best if self._cosine(best) > self._cosine(statements[0]) + 0.1 else statements[0]

    def _further(self, lead: Hit) -> None:
        """One more sentence of the lead that says why or under which condition."""
        spans = [span for span in self._spans(lead.provision) if span.segment.kind != "do"]
        law = lead.document.source.binding == "binding"
        spans.sort(
            key=lambda span: (law and span.segment.kind == "note", self._cosine(span)), reverse=True
        )
        for span in spans:
            if not self._said(span) and (law or self._cosine(span) >= _RELATED):
                self._say("answer", span)
                return

    def _own(self, lead: Hit) -> None:
        """What the organisation's own documents say that comes near, before anybody else's advice."""
        for hit in self._near("own", {"internal"}, lead)[:MAX_OWN]:
            best = max(self._spans(hit.provision), key=self._cosine)
            if self._cosine(best) >= _EVIDENCE_COSINE:
                self._say("action", best)

    def _actions(self, lead: Hit) -> None:
        pool: list[tuple[float, Span]] = []
        for hit in self._near("action", {"voluntary", "internal"}, lead)[:8]:
            for span in self._spans(hit.provision):
                if span.segment.kind == "do":
                    own = 0.1 if hit is lead else 0.0
                    pool.append((hit.relevance + self._cosine(span) + own, span))
        pool.sort(key=lambda entry: (-entry[0], entry[1].provision.id, entry[1].segment.start))
        count: dict[str, int] = {}
        for _, span in pool:
            if sum(draft.role == "action" for draft in self.drafted) >= MAX_ACTIONS:
                break
            limit = 4 if span.provision is lead.provision else 2
            if self._cosine(span) < 0.1 and span.provision is not lead.provision:
                continue
            if count.get(span.provision.id, 0) < limit and self._say("action", span):
                count[span.provision.id] = count.get(span.provision.id, 0) + 1

    def _requirements(self, lead: Hit) -> None:
        for hit in self._near("requirement", {"binding"}, lead)[:MAX_REQUIREMENTS]:
            spans = [span for span in self._spans(hit.provision) if span.segment.kind != "why"]
            if hit is lead:
                spans = [span for span in spans if not self._said(span)]
                for span in sorted(spans, key=self._cosine, reverse=True)[:2]:
                    self._say("requirement", span)
            elif self._cosine(spans[0]) >= _RELATED:
                self._say("requirement", spans[0])

    def _evidence(self, lead: Hit) -> None:
        concerns = set(lead.provision.concerns)
        hits = [
            hit
            for hit in self._near("evidence", {"evidence"}, lead)
            if max(hit.signals["segment"], hit.signals["ask"]) >= _EVIDENCE_COSINE
            and concerns & set(hit.provision.concerns)
        ]
        for hit in hits[:MAX_EVIDENCE]:
            self._say("evidence", self._spans(hit.provision)[0])

    def _corroborate(self, draft: Draft) -> None:
        """Cite further sources that say the same: nearly equal words, or linked and near."""
        binding = self._binding(draft.spans[0].provision)
        linked = self._same(draft.spans[0].provision)
        spans, vectors = self._pool
        cosines = vectors @ draft.spans[0].vector
        for place in np.argsort(-cosines, kind="stable"):
            span, cosine = spans[place], float(cosines[place])
            if len(draft.spans) >= MAX_CITATIONS or cosine < _SAME_LINKED:
                return
            sources = {entry.provision.source_id for entry in draft.spans}
            wanted = _SAME_LINKED if span.provision.id in linked else SAME
            if (
                cosine >= wanted
                and span.provision.source_id not in sources
                and self._binding(span.provision) == binding
                and not self._said(span)
            ):
                draft.spans.append(span)

    @cached_property
    def _pool(self) -> tuple[list[Span], Vectors]:
        """The sentences of the best hits, and their vectors, shape (sentences, dimension)."""
        spans = [
            span for hit in self.found.hits[:CORROBORATING] for span in self._spans(hit.provision)
        ]
        return spans, np.stack([span.vector for span in spans])

    def _same(self, provision: Provision) -> list[str]:
        """Ids of provisions that the crosswalk calls an exact or close match."""
        links = self.index.corpus.related.get(provision.id, ())
        return [link.object for link in links if link.match in ("exact", "close")]

    def _near(self, part: str, bindings: set[str], lead: Hit) -> list[Hit]:
        return [
            hit
            for hit in self.found.hits
            if hit.document.source.binding in bindings
            and (hit is lead or hit.relevance >= _NEAR[part])
        ]

    def _say(self, role: Role, span: Span) -> bool:
        """Add a statement, or a citation where its rule was said already; True if it was added."""
        if self._said(span):
            return False
        for draft in self.drafted:
            if _cosine(draft.spans[0], span) >= SAME:
                sources = {entry.provision.source_id for entry in draft.spans}
                bindings = {self._binding(entry.provision) for entry in (draft.spans[0], span)}
                new = span.provision.source_id not in sources and len(bindings) == 1
                if new and len(draft.spans) < MAX_CITATIONS:
                    draft.spans.append(span)
                return False
        self.drafted.append(Draft(role, [span]))
        return True

    def _said(self, span: Span) -> bool:
        return any(
            span.provision is entry.provision and span.segment == entry.segment
            for draft in self.drafted
            for entry in draft.spans
        )

    def _spans(self, provision: Provision) -> list[Span]:
        return spans_in(provision, self.found, self.index)

    def _cosine(self, span: Span) -> float:
        return float(np.dot(span.vector, self.found.vector))

    def _binding(self, provision: Provision) -> str:
        return self.found.documents[provision.source_id].source.binding


def _cosine(one: Span, other: Span) -> float:
    return float(np.dot(one.vector, other.vector))


def _openings(spans: Iterable[Span]) -> list[Span]:
    """The first span of each provision."""
    return list({span.provision.id: span for span in reversed(list(spans))}.values())[::-1]


def roles_in_order(drafts: Iterable[Draft]) -> list[Draft]:
    """Drafts in the order of trust: answer, action, requirement, evidence; otherwise as they were."""
    order = ("answer", "action", "requirement", "evidence")
    return sorted(drafts, key=lambda draft: order.index(draft.role))
