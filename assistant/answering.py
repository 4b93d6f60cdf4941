"""Question -> Answer: cite or abstain."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from difflib import get_close_matches

from assistant.citing import Binder, ReadText
from assistant.code_context import CodeContext
from assistant.documents import Corpus, Mention
from assistant.generation import Draft, LanguageModel, extract, roles_in_order
from assistant.index import Index
from assistant.prompts import PROMPT_VERSION
from assistant.questions import Question, read_question
from assistant.ranking import covered
from assistant.retrieval import Filters, Retrieved, Retriever
from assistant.types import Answer, Provision, Record, Reply, Said, Statement, Topic
from assistant.writing import Writing, choose_passages, passages, write

_NEAREST = 4
_UNKNOWABLE = {
    "price": "no source gives prices",
    "future": "no source can know what will happen",
    "outcome": "no source can know how your own system will do",
    "ranking": "no source says which is best",
    "inside": "no source knows what is the case in your organisation",
    "vendor": "only the vendor knows it",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A question with what was retrieved for it, before anything is said.

    reason: why there will be no answer, or None. drafts: the extractive answer.
    """

    question: Question
    filters: Filters
    retrieved: Retrieved
    reason: str | None
    drafts: list[Draft]
    clock: _Clock


def find(
    text: str, retriever: Retriever, filters: Filters, code: CodeContext | None = None
) -> Found:
    """Read a question, with the code that it is about, and retrieve.

    Raises QuestionError for a question that cannot be taken.
    """
    clock = _Clock()
    index = retriever.index
    question = read_question(text, index.corpus, code)
    clock.lap("read")
    found = retriever.retrieve(question, filters)
    clock.lap("retrieve")
    reason = _abstention(question, found, retriever)
    drafts = [] if reason else roles_in_order(extract(question, found, index))
    return Found(question, filters, found, reason, drafts, clock)


def say(
    asked: str,
    found: Found,
    retriever: Retriever,
    read_text: ReadText,
    model: LanguageModel | None = None,
    deadline: float = math.inf,
    record: Callable[[Record], None] | None = None,
    rewriting: Reply | None = None,
) -> Generator[Said | Answer, None, None]:
    """The answer piece by piece, at last as a whole: from the sources' sentences, or by a model.

    ``asked``: the question as it was asked. ``read_text`` gives the text that quotes are compared
    with: the file's, as it is now. deadline: by ``time.monotonic``, when to take no more from the
    model. rewriting: what it sent when it was asked to rewrite a follow-up. ``record`` is called
    with what became of its replies; where its answer does not stand, the sources' sentences follow
    what was shown of it.
    """
    index = retriever.index
    binder = Binder(found.retrieved.documents, read_text)
    phases = found.filters.phases or found.question.phases
    phases = phases or tuple(
        phase for draft in found.drafts[:1] for phase in draft.spans[0].provision.phases[:1]
    )
    statements: list[Statement] = []
    cited = 0
    writing = None
    if model and found.drafts:
        spans = choose_passages(found.drafts, found.retrieved, index)
        writing = Writing(passages(spans, found.retrieved))
        embed = retriever.embedder.embed
        text = found.question.text
        for statement in write(text, phases, spans, model, deadline, embed, binder, writing):
            statements.append(statement)
            yield Said(statement, tuple(binder.citations[cited:]))
            cited = len(binder.citations)
    written = len(statements)
    if writing is None or not writing.stands:
        for draft in found.drafts:
            if quoted := binder.quote(draft):
                statements.append(quoted)
                yield Said(quoted, tuple(binder.citations[cited:]))
                cited = len(binder.citations)
    reason = found.reason
    if not statements and reason is None:
        reason = (
            "Not covered: what was found could not be confirmed in its source, and is withheld."
        )
    found.clock.lap("answer")
    answered = Answer(
        question=asked,
        read_as=found.question.text,
        outcome="answered" if statements else "abstained",
        reason=reason or "",
        nearest=() if statements else _nearest(found.retrieved, index),
        phases=phases,
        statements=tuple(statements),
        citations=tuple(binder.citations),
        withheld=binder.withheld + (writing.withheld if writing else 0),
        corpus_version=index.corpus.version,
        timings_ms=found.clock.laps,
        noticed=found.question.noticed,
        model=model.name if model and written else None,
        note=_note(writing, written) if writing else "",
        read_by=model.name if model and rewriting and not rewriting.failure else None,
    )
    if record and model and (writing or rewriting):
        writing = writing or Writing(())
        record(_record(answered, found, model, writing, rewriting, index.corpus.sha256))
    yield answered


def answer(
    text: str,
    retriever: Retriever,
    filters: Filters,
    read_text: ReadText,
    model: LanguageModel | None = None,
    record: Callable[[Record], None] | None = None,
    rewriting: Reply | None = None,
) -> Answer:
    """The whole answer to a question that stands on its own; see find and say."""
    found = find(text, retriever, filters)
    *_, answered = say(
        found.question.text, found, retriever, read_text, model, record=record, rewriting=rewriting
    )
    assert isinstance(answered, Answer)
    return answered


def _note(writing: Writing, written: int) -> str:
    """What a reader should know of a model's answer."""
    if writing.stands:
        return ""
    why = (
        f"The language model {writing.failure}."
        if writing.failure
        else "The sources do not bear most of what the language model wrote."
        if writing.sentences
        else "The language model wrote nothing."
    )
    what = "What follows its checked sentences is" if written else "This is"
    return f"{why} {what} quoted from the sources."


def _record(
    answered: Answer,
    found: Found,
    model: LanguageModel,
    writing: Writing,
    rewriting: Reply | None,
    corpus_sha256: str,
) -> Record:
    return Record(
        question=answered.question,
        read_as=answered.read_as,
        phases=found.filters.phases,
        kinds=found.filters.kinds,
        jurisdictions=found.filters.jurisdictions,
        sources=found.filters.sources,
        collections=found.filters.collections,
        without=found.filters.without,
        model=model.name,
        prompt_version=PROMPT_VERSION,
        corpus_version=answered.corpus_version,
        corpus_sha256=corpus_sha256,
        passages=writing.passages,
        replies=tuple(writing.replies),
        sentences=tuple(writing.sentences),
        rewriting=rewriting,
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
    if (
        question.elsewhere
        and not _names_digested_law(question)
        and not _in_library(found, question)
    ):
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


def _in_library(found: Retrieved, question: Question) -> bool:
    """Whether a good hit of the library is of a document that names what the corpus lacks."""
    return any(
        named in hit.document.text
        for hit in found.hits[:5]
        if hit.provision.id in found.sentences
        for named in question.elsewhere
    )


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
    asks = next(iter(provision.asks), f"What is said under “{provision.title}”?")
    return Topic(asks, provision.source_id, provision.locator, provision.title)


class _Clock:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round((now - self._last) * 1000, 3)
        self._last = now
