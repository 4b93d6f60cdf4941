"""Passages + a language model -> Statements, each shown only after the passages were seen to bear it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from assistant.checking import Embed, Verdict, check
from assistant.citing import Binder
from assistant.generation import Draft, LanguageModel, ModelFailure, Span, open_model, spans_in
from assistant.index import Index
from assistant.prompts import (
    CHECK_SENTENCE,
    Message,
    Written,
    gives_orders,
    messages,
    repair,
    sentences,
    whole_characters,
)
from assistant.prompts import check as check_prompt
from assistant.retrieval import Retrieved
from assistant.types import Checked, Document, Passage, Reply, Role, Statement

MAX_PASSAGES = 24
MAX_SENTENCES = 12
"""After so many sentences, shown or not, no more are read."""
MAX_REPAIRS = 3
MAX_KEYS = 4
"""How many passages a sentence may cite: with more, words from here and there can bear anything."""


@dataclass(slots=True)
class Writing:
    """What became of a model's answer. failure: why it broke off, or ""."""

    passages: tuple[Passage, ...]
    replies: list[Reply] = field(default_factory=list)
    sentences: list[Checked] = field(default_factory=list)
    failure: str = ""

    @property
    def withheld(self) -> int:
        """How many sentences were not shown."""
        return sum(bool(sentence.reasons) for sentence in self.sentences)

    @property
    def stands(self) -> bool:
        """Whether most of what the model wrote was shown, and it was whole."""
        return not self.failure and 2 * self.withheld < len(self.sentences)


def choose_passages(drafts: Iterable[Draft], found: Retrieved, index: Index) -> dict[str, Span]:
    """Key -> span of what a model is given: the drafts' spans, then the rest of their provisions.

    Sentences that look as if they spoke to a model are left out; they stay in the sources, and are
    quoted where they answer a question.
    """
    chosen = [span for draft in drafts for span in draft.spans]
    provisions = {span.provision.id: span.provision for span in chosen}
    chosen += [span for entry in provisions.values() for span in spans_in(entry, found, index)]
    unique = {(span.provision.id, span.segment.start): span for span in chosen}
    told = [span for span in unique.values() if not gives_orders(_quote(span, found.documents))]
    return {f"S{number}": span for number, span in enumerate(told[:MAX_PASSAGES], 1)}


def write(
    question: str,
    phases: Sequence[str],
    spans: Mapping[str, Span],
    model: LanguageModel,
    deadline: float,
    embed: Embed,
    binder: Binder,
    writing: Writing,
) -> Iterator[Statement]:
    """The statements of a model, one by one; ``writing`` is filled on the way.

    deadline: by ``time.monotonic``, when to take no more from the model.

    A sentence that its passages do not bear is asked for once more, and then withheld.
    """
    asked = messages(question, phases, writing.passages)
    check_one = _Checker(spans, embed, binder)
    repairs = 0
    for number, written in enumerate(sentences(_said(model, asked, deadline, writing))):
        if number >= MAX_SENTENCES:
            return
        verdict = check_one(written)
        reasons: tuple[str, ...] = ()
        if not verdict.passed and repairs < MAX_REPAIRS and not writing.failure:
            repairs += 1
            reasons = (verdict.reason,)
            asking = repair(asked, written.line, verdict.reason)
            again = next(sentences(_said(model, asking, deadline, writing)), None)
            if again:
                written, verdict = again, check_one(again)
        if verdict.passed:
            writing.sentences.append(Checked(written.text, written.keys, (), verdict.scores))
            cited = [spans[key] for key in written.keys]
            first = not any(entry.reasons == () for entry in writing.sentences[:-1])
            yield Statement(
                written.text, _role(cited[0], first, binder.documents), binder.cite(cited)
            )
        else:
            reasons = tuple(dict.fromkeys((*reasons, verdict.reason)))
            writing.sentences.append(Checked(written.text, written.keys, reasons, verdict.scores))


def _said(
    model: LanguageModel, asked: Sequence[Message], deadline: float, writing: Writing
) -> Iterator[str]:
    """What a model says, kept in ``writing`` as far as it was read; a failure ends it."""
    place = len(writing.replies)
    writing.replies.append(Reply("", ""))
    stream = model.stream(asked, deadline)
    text = ""
    try:
        for chunk in map(whole_characters, stream):
            text += chunk
            writing.replies[place] = Reply(text, "")
            yield chunk
    except ModelFailure as failure:
        writing.failure = writing.failure or str(failure)
        writing.replies[place] = Reply(text, str(failure))
    finally:
        stream.close()


class _Checker:
    """Whether it is new, its keys, the quotes in their sources, and then what they bear."""

    def __init__(self, spans: Mapping[str, Span], embed: Embed, binder: Binder) -> None:
        self._spans, self._embed, self._binder = spans, embed, binder
        self._said: set[str] = set()

    def __call__(self, written: Written) -> Verdict:
        if written.text in self._said:
            return Verdict("form", "it was said already")
        verdict = self._judged(written)
        if verdict.passed:
            self._said.add(written.text)
        return verdict

    def _judged(self, written: Written) -> Verdict:
        if not written.keys:
            return Verdict("key", "it cites no passage")
        if len(written.keys) > MAX_KEYS:
            return Verdict("key", f"it cites more than {MAX_KEYS} passages")
        for key in written.keys:
            if key not in self._spans:
                return Verdict("key", f"there is no passage {key}")
        cited = [self._spans[key] for key in written.keys]
        if not all(map(self._binder.found, cited)):
            return Verdict("key", "a passage is not found in its source any more")
        quotes = [_quote(span, self._binder.documents) for span in cited]
        names = [_place(span, self._binder.documents) for span in cited]
        return check(written.text, quotes, names, self._embed)


def passages(spans: Mapping[str, Span], found: Retrieved) -> tuple[Passage, ...]:
    """The spans as a model is given them."""
    scores = {hit.provision.id: round(hit.score, 6) for hit in found.hits}
    return tuple(
        Passage(
            key,
            span.provision.id,
            span.segment.start,
            span.segment.stop,
            _place(span, found.documents),
            _quote(span, found.documents),
            scores.get(span.provision.id),
        )
        for key, span in spans.items()
    )


def _place(span: Span, documents: Mapping[str, Document]) -> str:
    source = documents[span.provision.source_id].source
    return f"{span.provision.locator}, {source.title}, {source.publisher}, {source.jurisdiction}"


def _quote(span: Span, documents: Mapping[str, Document]) -> str:
    return documents[span.provision.source_id].quote(span.segment)


def _role(span: Span, first: bool, documents: Mapping[str, Document]) -> Role:
    binding = documents[span.provision.source_id].source.binding
    if first:
        return "answer"
    if binding == "binding":
        return "requirement"
    return "evidence" if binding == "evidence" else "action"


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What a trial of a model showed. problem: the end of a sentence that begins with it, or ""."""

    answers: bool
    streams: bool
    cites: bool
    problem: str


def check_model(name: str, base_url: str, timeout_s: float) -> ModelCheck:
    """Ask a model about one passage; raises SettingsError if it cannot be opened."""
    model = open_model(name, base_url, timeout_s)
    passage = Passage("S1", "check#1", 0, len(CHECK_SENTENCE), "check", CHECK_SENTENCE)
    pieces: list[str] = []
    problem = ""
    try:
        deadline = time.monotonic() + timeout_s
        pieces += filter(None, model.stream(check_prompt(passage), deadline))
    except ModelFailure as failure:
        problem = str(failure)
    written = list(sentences(pieces))
    cites = bool(written) and all(entry.keys == ("S1",) for entry in written)
    if written and not cites:
        problem = (
            problem or "does not end its sentences with the keys of passages, as it was asked to"
        )
    return ModelCheck(bool(written), len(pieces) > 1, cites, problem)
