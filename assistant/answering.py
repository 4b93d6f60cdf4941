"""Question -> Answer: cite or abstain."""

from __future__ import annotations

import re
import time
from difflib import get_close_matches

from assistant.citing import ReadText, bind
from assistant.documents import Corpus, Mention
from assistant.generation import extract, roles_in_order
from assistant.index import Index
from assistant.questions import Question, read_question
from assistant.retrieval import Filters, Retrieved, Retriever, covered
from assistant.types import Answer, Citation, Provision, Statement, Topic

_NEAREST = 4
_UNKNOWABLE = {
    "price": "no source gives prices",
    "future": "no source can know what will happen",
    "outcome": "no source can know how your own system will do",
    "ranking": "no source says which is best",
    "inside": "no source knows what is the case in your organisation",
}


def answer(text: str, retriever: Retriever, filters: Filters, read_text: ReadText) -> Answer:
    """Answer a question from the sources, or abstain.

    ``read_text`` gives the text that quotes are compared with: the file's, as it is now.
    Raises QuestionError for a question that cannot be taken.
    """
    clock = _Clock()
    index = retriever.index
    question = read_question(text, index.corpus)
    clock.lap("read")
    found = retriever.retrieve(question, filters)
    clock.lap("retrieve")
    reason = _abstention(question, found, retriever)
    statements: tuple[Statement, ...] = ()
    citations: tuple[Citation, ...] = ()
    withheld = 0
    lead: tuple[str, ...] = ()
    if reason is None:
        drafts = roles_in_order(extract(question, found, index))
        lead = drafts[0].spans[0].provision.phases[:1]
        statements, citations, withheld = bind(drafts, index.corpus, read_text)
        if not statements:
            reason = (
                "Not covered: what was found could not be confirmed in its source, and is withheld."
            )
    clock.lap("answer")
    return Answer(
        question=question.text,
        read_as=question.text,
        outcome="answered" if statements else "abstained",
        reason=reason or "",
        nearest=() if statements else _nearest(found, index),
        phases=filters.phases or question.phases or lead,
        statements=statements,
        citations=citations,
        withheld=withheld,
        corpus_version=index.corpus.version,
        timings_ms=clock.laps,
    )


def _abstention(question: Question, found: Retrieved, retriever: Retriever) -> str | None:
    """Why there is no answer, or None if there is one."""
    if question.language:
        return (
            f"Not covered: the question seems to be in {question.language}, and the sources are in "
            "English. Ask it in English."
        )
    if found.unknown and not found.exact:
        return _unknown(found.unknown[0], retriever.index.corpus)
    if found.exact:
        return None
    if question.elsewhere and not _names_digested_law(question):
        return f"Not covered: no source digests {' or '.join(question.elsewhere)}."
    if "outcome" in question.wishes:
        return f"Not covered: {_UNKNOWABLE['outcome']}."
    if not found.hits:
        return "Not covered: no source passes the filters. Leave one out, or choose other values."
    if covered(found.confidence, retriever.ranking) >= retriever.ranking.threshold:
        return None
    if question.wishes:
        return f"Not covered: {_UNKNOWABLE[question.wishes[0]]}."
    if question.scope.named:
        return (
            f"Not covered: limited to {question.scope.named}, the sources hold nothing that answers "
            "this question."
        )
    if found.confidence["topic"] < 0.5:
        return "Out of scope: the sources are about the safety of software built on AI models."
    return "Not covered: the sources hold nothing that answers this question."


def _names_digested_law(question: Question) -> bool:
    return bool(re.search(r"\b(?:AI Act|GDPR|NIST|OWASP)\b", question.text, re.IGNORECASE))


def _unknown(mention: Mention, corpus: Corpus) -> str:
    if not mention.may_exist:
        return f"Not covered: {mention.family.range}; there is no {mention.text}."
    return f"Not covered: {mention.text} is not in the corpus. {mention.family.range}."


def _nearest(found: Retrieved, index: Index) -> tuple[Topic, ...]:
    """Covered topics near the question, from different sources where there are several.

    Near an identifier that names nothing are those of its source that are written most like it.
    """
    if found.unknown and found.unknown[0].family.source in index.corpus.by_source:
        mention = found.unknown[0]
        document = index.corpus.by_source[mention.family.source]
        by_locator = {provision.locator: provision for provision in document.provisions}
        alike = get_close_matches(mention.locator, by_locator, _NEAREST)
        return tuple(_topic(by_locator[locator]) for locator in alike)
    topics: list[Topic] = []
    hits = [hit for hit in found.hits if hit.document.source.binding != "evidence"] or found.hits
    for most in (1, _NEAREST):
        for hit in hits[:20]:
            provision = hit.provision
            same = sum(topic.source_id == provision.source_id for topic in topics)
            topic = _topic(provision)
            if len(topics) < _NEAREST and same < most and topic not in topics:
                topics.append(topic)
    return tuple(topics)


def _topic(provision: Provision) -> Topic:
    return Topic(provision.asks[0], provision.source_id, provision.locator, provision.title)


class _Clock:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round((now - self._last) * 1000, 3)
        self._last = now
