"""The data that moves down the pipeline, one frozen type a stage.

Offsets are counted in characters (Python string indices) of ``Document.text`` and are half-open:
``document.text[span.start:span.stop]`` is the span's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SegmentKind = Literal["statement", "do", "why", "note"]
Role = Literal["answer", "action", "requirement", "evidence"]
Outcome = Literal["answered", "abstained"]


@dataclass(frozen=True, slots=True)
class Source:
    """A published document that the corpus digests: its front matter.

    ``published``, ``in_force_from`` and ``compared`` are ISO dates, where only the month or the
    year is known shortened to it. ``status`` is "current", "draft" or "superseded by …".
    """

    id: str
    title: str
    publisher: str
    kind: str
    binding: str
    jurisdiction: str
    version: str
    published: str
    in_force_from: str | None
    status: str
    licence: str
    url: str
    compared: str
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One sentence or list item of a provision: the unit that an answer may quote."""

    kind: SegmentKind
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Provision:
    """The smallest citable part of a source: an article paragraph, a control, an incident."""

    source_id: str
    locator: str
    title: str
    url: str
    phases: tuple[str, ...]
    concerns: tuple[str, ...]
    roles: tuple[str, ...]
    asks: tuple[str, ...]
    tests: tuple[str, ...]
    read: tuple[str, ...]
    in_force_from: str | None
    status: str
    line: int
    start: int
    stop: int
    segments: tuple[Segment, ...]

    @property
    def id(self) -> str:
        """``source-id#locator``, unique in a corpus."""
        return f"{self.source_id}#{self.locator}"


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page's text starts; number: counted from 1; label: as printed on it or named by it."""

    start: int
    number: int
    label: str


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its text, the digest of its bytes, and what was parsed out of it.

    pages: of a user's document that has some, in order; of the corpus, which has none, empty.
    """

    source: Source
    text: str = field(repr=False)
    sha256: str
    provisions: tuple[Provision, ...] = field(repr=False)
    pages: tuple[Page, ...] = field(default=(), repr=False)

    def quote(self, segment: Segment) -> str:
        """The segment's text."""
        return self.text[segment.start : segment.stop]

    def page(self, offset: int) -> Page | None:
        """The page on which a character stands; None for a document without pages."""
        return next((page for page in reversed(self.pages) if page.start <= offset), None)


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a statement stands: a span of a document, with what a reader needs to judge it.

    ``quote`` is ``document.text[start:stop]``; ``date`` is the source's date of publication;
    ``page`` is counted from 1 and ``page_label`` is as printed, both null for sources without pages;
    ``in_force_from`` is null for what is not law.
    """

    number: int
    source_id: str
    title: str
    publisher: str
    kind: str
    binding: str
    jurisdiction: str
    version: str
    date: str
    in_force_from: str | None
    status: str
    locator: str
    heading: str
    url: str
    page: int | None
    quote: str
    start: int
    stop: int
    document_sha256: str
    page_label: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is said, and the numbers of the citations that bear it (never empty)."""

    text: str
    role: Role
    citations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A covered topic near to what was asked: a provision and a question that it answers."""

    question: str
    source_id: str
    locator: str
    title: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something seen in the code that came with a question; every word is of a closed vocabulary.

    name: of the sign. what: the same in words. line: the first one that shows it, from 1, in the
    selection or the manifest. concern: of the taxonomy, to which it points.
    """

    name: str
    what: str
    line: int
    place: Literal["selection", "manifest"]
    concern: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the assistant says to a question.

    read_as: the question that was answered: ``question``, or what a follow-up means after what was
    asked before; a follow-up's, asked by itself with ``phases``, has the same answer.
    outcome: "answered" or "abstained". reason: why it abstained, a sentence; else "".
    nearest: covered topics, when abstained. phases: as given, else as read off
    the question, else that of the provision which answers.
    withheld: statements left out because their quote was not found in its document, or because
    what a model wrote is not borne by the passages that it cites.
    timings_ms: milliseconds by step; the only field that differs when a question is repeated.
    noticed: what the code shows that came with the question, the most telling first.
    model: the language model that wrote statements, as "provider:name"; null if none did.
    note: what became of a model's answer, a sentence or two; "" if there is nothing to say.
    read_by: the language model that said what a follow-up means; null where that was read by rules.
    """

    question: str
    read_as: str
    outcome: Outcome
    reason: str
    nearest: tuple[Topic, ...]
    phases: tuple[str, ...]
    statements: tuple[Statement, ...]
    citations: tuple[Citation, ...]
    withheld: int
    corpus_version: str
    timings_ms: dict[str, float] = field(compare=False)
    noticed: tuple[Noticed, ...]
    model: str | None
    note: str
    read_by: str | None

    def to_dict(self) -> dict[str, Any]:
        """The answer as dictionaries and sequences that json can write, the same as ``ask --json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Said:
    """A statement of an answer under way, with the citations that it is the first to use."""

    statement: Statement
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence of a source as a model is given it; ``key`` is how the model may cite it.

    provision: the provision's id. source: in words, where it stands. score: its provision's in the
    ranking, null where that was named by the question and not ranked.
    """

    key: str
    provision: str
    start: int
    stop: int
    source: str
    text: str
    score: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model sent; failure: why it is not whole, or could not be used, or ""."""

    text: str
    failure: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A sentence that a model wrote. reasons: why it was refused, and its repair; empty if shown.

    scores: the evidence that the passages bear it; empty where a rule decided.
    """

    text: str
    keys: tuple[str, ...]
    reasons: tuple[str, ...]
    scores: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """All that went into a model's answer and came out of it; ``Assistant.replay`` needs no more.

    read_as: the question that the model was given. replies: in the order of the requests, the
    answer's first; empty, as are the passages, where it was not asked for an answer. sentences: all
    that it wrote, with what became of them. rewriting: its reply when it was asked to rewrite a
    follow-up; null if it was not.
    """

    question: str
    read_as: str
    phases: tuple[str, ...]
    kinds: tuple[str, ...]
    jurisdictions: tuple[str, ...]
    sources: tuple[str, ...]
    collections: tuple[str, ...]
    without: tuple[str, ...]
    model: str
    prompt_version: str
    corpus_version: str
    corpus_sha256: str
    passages: tuple[Passage, ...]
    replies: tuple[Reply, ...]
    sentences: tuple[Checked, ...]
    rewriting: Reply | None = None

    @property
    def decisions(self) -> tuple[tuple[str, bool], ...]:
        """Each sentence that the model wrote, and whether it was shown."""
        return tuple((sentence.text, not sentence.reasons) for sentence in self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """The record as dictionaries and sequences that json can write."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Record:
        """The record that ``to_dict`` gave, after a passage through JSON."""
        values: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in raw.items()
        }
        parts = (("passages", Passage), ("replies", Reply), ("sentences", Checked))
        for name, kind in parts:
            values[name] = tuple(kind(**_frozen(row)) for row in raw[name])
        if raw.get("rewriting"):
            values["rewriting"] = Reply(**raw["rewriting"])
        return cls(**values)


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(tuple(part) if isinstance(part, list) else part for part in value)
        if isinstance(value, list | tuple)
        else value
        for name, value in row.items()
    }


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One thing to do in a phase, for one concern; ``citations`` are numbers, never empty.

    role: "requirement" where the first citation is binding law, else "action".
    """

    text: str
    concern: str
    role: Role
    citations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Checklist:
    """What to do in a lifecycle phase, by concern in the order of the taxonomy.

    before, after: the phases that come before and after this one, in their order.
    left_out: how many further actions the sources hold for the phase and concerns.
    withheld: items left out because their quote was not found in its document.
    """

    phase: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    items: tuple[ChecklistItem, ...]
    citations: tuple[Citation, ...]
    left_out: int
    withheld: int
    corpus_version: str

    def to_dict(self) -> dict[str, Any]:
        """The checklist as dictionaries and sequences that json can write."""
        return asdict(self)
