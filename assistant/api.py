"""The public door: ``Assistant.open()``, ``ask``, ``search``, ``provision``, ``sources``."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event
from types import TracebackType
from typing import Any

from assistant.answering import answer, find, say
from assistant.checklists import PER_CONCERN, checklist
from assistant.code_context import CodeContext
from assistant.documents import Corpus, Link, Rereader, find_mentions, load_corpus
from assistant.embedding import Vectors, open_embedders
from assistant.errors import AssistantClosed, IndexFailure, QuestionError
from assistant.generation import NO_MODEL, ChatModel, LanguageModel, Replayed, open_model
from assistant.index import Index, Progress, build_index, open_index
from assistant.library import SHIPPED, Fetched, Library, Report, Shelf, load_official
from assistant.prompts import PROMPT_VERSION
from assistant.questions import MAX_CHARS, clean_text, read_question
from assistant.ranking import covered, load_ranking
from assistant.recipe import read_recipe
from assistant.retrieval import (
    Filters,
    Hit,
    Retriever,
    collection_of,
    look_up,
    official_passage,
)
from assistant.rewriting import read_follow_up
from assistant.settings import Settings, load_settings
from assistant.types import Answer, Checklist, Document, Provision, Record, Said


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What the corpus holds of one source; ``provisions`` is a count."""

    id: str
    title: str
    publisher: str
    kind: str
    version: str
    url: str
    licence: str
    provisions: int
    phases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """Whether the corpus covers a question.

    probability: in 0..1, by the fitted logistic model. threshold: from which it answers.
    features: the evidence, see ``ranking.CONFIDENCE``. vector: the question's embedding, by the model
    whose digest ``model`` is.
    """

    probability: float
    threshold: float
    features: Mapping[str, float]
    vector: Vectors
    model: str


class Assistant:
    """Answers questions from the corpus. Use as a context manager, or call ``close``.

    Reading is safe from several threads; each answer depends on its arguments alone, and on what is
    in ``library``, the user's own documents, then.
    """

    def __init__(
        self, settings: Settings, corpus: Corpus, index: Index, retriever: Retriever
    ) -> None:
        self.settings, self.corpus, self.index = settings, corpus, index
        self._reader: Retriever | None = retriever
        self._reread = Rereader(corpus.folder)
        self._shelf = retriever.shelf
        self._models: dict[str, ChatModel] = {}
        self.library = Library(settings, retriever.embedder)

    @classmethod
    def open(
        cls,
        settings: Settings | None = None,
        *,
        build: bool = True,
        progress: Progress | None = None,
    ) -> Assistant:
        """Open the index; with ``build``, build it first where it is missing or out of date.

        ``progress`` is called while building with a stage's name, the steps done and in all.

        Raises CorpusError, SettingsError or ModelError for what is wrong with those, IndexMissing,
        IndexMismatch or IndexDamaged without ``build``, IndexBusy or IndexUnwritable with it.
        """
        settings = settings or load_settings()
        corpus = load_corpus(settings.corpus)
        recipe = read_recipe(settings.recipe)
        ranking = load_ranking(settings.recipe)
        embedders = open_embedders(settings.embedding_model, recipe, settings.cache)
        try:
            index = open_index(corpus, settings, embedders.texts)
        except IndexFailure:
            if not build:
                raise
            build_index(corpus, settings, progress)
            embedders = open_embedders(settings.embedding_model, recipe, settings.cache)
            index = open_index(corpus, settings, embedders.texts)
        shelf = Shelf(settings.library, embedders.texts)
        retriever = Retriever(index, embedders.texts, ranking, shelf, embedders.questions)
        return cls(settings, corpus, index, retriever)

    def ask(
        self,
        question: str,
        *,
        code: CodeContext | None = None,
        phase: str | Sequence[str] | None = None,
        kind: str | Sequence[str] | None = None,
        jurisdiction: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        collection: str | Sequence[str] | None = None,
        without: str | Sequence[str] | None = None,
        history: Sequence[Answer] = (),
        model: str | None = None,
        record: Callable[[Record], None] | None = None,
        stop: Event | None = None,
    ) -> Answer:
        """Answer a question, or abstain.

        phase steers the ranking; kind, jurisdiction, source and collection limit what may be cited,
        and ``without`` leaves collections out: the library's, or "shipped", the corpus. Each takes one
        value or several. history: the answers before, oldest first, that a follow-up refers to; what
        it was taken to mean is the answer's ``read_as``. code: what the question is about; what it
        uses steers retrieval, is named in ``Answer.noticed``, and is neither kept nor shown otherwise.
        model: "provider:name" of the language model that writes, or "none"; that of the settings
        unless given. record: called with the record of a model's answer. stop: once set, from
        whatever thread, the request to a model ends; what follows is quoted from the sources.

        Raises QuestionError, naming the known values, for an unknown one, and for a question that
        is empty or longer than 2,000 characters, or code that is too long; SettingsError for a model
        that cannot be opened.
        What a model does wrong raises nothing: see the answer's ``note``.
        """
        *_, answered = self.stream(
            question,
            code=code,
            phase=phase,
            kind=kind,
            jurisdiction=jurisdiction,
            source=source,
            collection=collection,
            without=without,
            history=history,
            model=model,
            record=record,
            stop=stop,
        )
        assert isinstance(answered, Answer)
        return answered

    def stream(
        self,
        question: str,
        *,
        code: CodeContext | None = None,
        phase: str | Sequence[str] | None = None,
        kind: str | Sequence[str] | None = None,
        jurisdiction: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        collection: str | Sequence[str] | None = None,
        without: str | Sequence[str] | None = None,
        history: Sequence[Answer] = (),
        model: str | None = None,
        record: Callable[[Record], None] | None = None,
        stop: Event | None = None,
    ) -> Generator[Said | Answer, None, None]:
        """Answer piece by piece: each statement with its new citations, at last the whole answer.

        What was yielded has been verified and stays in the answer. Closing the iterator ends the
        request to a model, and ``stop`` does while a piece is waited for. Raises as ``ask`` does,
        before the first piece.
        """
        filters = self._filters(phase, kind, jurisdiction, source, collection, without)
        writer = self._model(self.settings.model if model is None else model, stop or Event())
        deadline = time.monotonic() + (writer.timeout_s if writer else 0.0)
        reading, rewriting = read_follow_up(
            question, history, self.corpus, self._covers, code, writer, deadline
        )
        if not filters.phases:
            filters = replace(filters, phases=reading.phases)
        found = find(reading.text, self._retriever, filters, code)
        asked = clean_text(question)
        return say(
            asked, found, self._retriever, self._read_text, writer, deadline, record, rewriting
        )

    def replay(self, record: Record) -> Answer:
        """The answer that a record belongs to, made again without the model.

        Raises QuestionError if the corpus or the words sent to models have changed since, if other
        passages are found now: own documents changed, or code, which no record holds, steered it, or
        if the checker decides otherwise now.
        """
        if (record.corpus_sha256, record.prompt_version) != (self.corpus.sha256, PROMPT_VERSION):
            raise QuestionError(
                f"The record was made with corpus {record.corpus_version} and prompt "
                f"{record.prompt_version}. Replay it with the release that made it."
            )
        filters = Filters(
            record.phases,
            record.kinds,
            record.jurisdictions,
            record.sources,
            record.collections,
            record.without,
        )
        model = Replayed(record.model, record.replies)
        again: list[Record] = []
        answered = answer(
            record.read_as,
            self._retriever,
            filters,
            self._read_text,
            model,
            again.append,
            record.rewriting,
        )
        if [entry.passages for entry in again] != [record.passages]:
            raise QuestionError(
                "The passages found now are not those of the record: own documents have changed, or "
                "the question came with code, which no record holds. Ask it again."
            )
        if [entry.decisions for entry in again] != [record.decisions]:
            raise QuestionError(
                "The checker does not decide on the model's sentences as it did for the record. Replay "
                "it with the release that made it."
            )
        return replace(answered, question=record.question)

    def _model(self, name: str, stop: Event) -> LanguageModel | None:
        """The language model of a name, opened once, until ``stop`` is set; None for "none"."""
        if name == NO_MODEL:
            return None
        if name not in self._models:
            base_url, timeout_s = self.settings.model_base_url, self.settings.model_timeout_s
            self._models[name] = open_model(name, base_url, timeout_s)
        return self._models[name].until(stop)

    def checklist(
        self,
        phase: str,
        concerns: str | Sequence[str] | None = None,
        *,
        per_concern: int = PER_CONCERN,
        kind: str | Sequence[str] | None = None,
        jurisdiction: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
    ) -> Checklist:
        """What to do in a phase, by concern, each item cited; those most sources agree on first.

        per_concern: how many actions at most for a concern, and half as many requirements of law.
        Raises QuestionError for an unknown value, and for per_concern below 1.
        """
        if per_concern < 1:
            raise QuestionError(f"per_concern must be at least 1, not {per_concern}.")
        phases = list(self.corpus.taxonomy.phases)
        if phase not in phases:
            raise QuestionError(f"Unknown phase '{str(phase)[:80]}'. Known: {', '.join(phases)}.")
        wanted = _known("concern", concerns, list(self.corpus.taxonomy.concerns))
        filters = self._filters(None, kind, jurisdiction, source)
        return checklist(phase, wanted, filters, per_concern, self._retriever, self._read_text)

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        code: CodeContext | None = None,
        phase: str | Sequence[str] | None = None,
        kind: str | Sequence[str] | None = None,
        jurisdiction: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        collection: str | Sequence[str] | None = None,
        without: str | Sequence[str] | None = None,
    ) -> list[Hit]:
        """The k best provisions with their scores, best first; what an identifier names comes first.

        Raises QuestionError as ``ask`` does, and for k below 1.
        """
        if k < 1:
            raise QuestionError(f"k must be at least 1, not {k}.")
        filters = self._filters(phase, kind, jurisdiction, source, collection, without)
        found = self._retriever.retrieve(
            read_question(query, self.corpus, code), filters, limit=max(k, 1)
        )
        top = found.hits[0].score if found.hits else 1.0
        named = [
            Hit(
                provision,
                self.corpus.by_source[provision.source_id],
                top + 1.0,
                1.0,
                {"identifier": 1.0},
            )
            for provision in found.exact
        ]
        rest = [hit for hit in found.hits if hit.provision not in found.exact]
        return (named + rest)[:k]

    def confidence(self, question: str) -> Confidence:
        """How sure the assistant is that the corpus covers a question; raises as ``ask`` does."""
        found = self._retriever.retrieve(read_question(question, self.corpus))
        ranking = self._retriever.ranking
        probability = covered(found.confidence, ranking)
        model = self._retriever.questions.digest
        return Confidence(probability, ranking.threshold, found.confidence, found.vector, model)

    def _covers(self, question: str) -> bool:
        confidence = self.confidence(question[:MAX_CHARS])
        return confidence.probability >= confidence.threshold

    def provision(self, locator: str) -> list[Provision]:
        """The provisions that a locator names: ``LLM05``, ``Art. 26(5)``, or ``source-id#locator``.

        Raises QuestionError if there is none, saying what exists where that is known.
        """
        text = locator.strip()
        if text in self.corpus.by_id:
            return [self.corpus.by_id[text]]
        if "/" in text and (own := self._retriever.shelf.document(text.partition("#")[0])):
            return [p for p in own.provisions if text in (p.id, p.source_id)]
        same = [
            entry for entry in self.corpus.provisions if entry.locator.casefold() == text.casefold()
        ]
        if same:
            return same
        mentions = find_mentions(text, self.corpus.identifiers)
        found = [entry for mention in mentions for entry in look_up(mention, self.corpus)]
        if not found:
            known = (
                mentions[0].family.range
                if mentions
                else "`safety-assistant sources` lists what is covered"
            )
            raise QuestionError(f"No provision is named '{text[:80]}'. {known}.")
        return found

    def related(self, provision: Provision) -> tuple[Link, ...]:
        """The crosswalk of a provision: links whose object says the same, or something near it."""
        return self.corpus.related.get(provision.id, ())

    def fetch(
        self, source: str | Sequence[str] | None = None, *, progress: Progress | None = None
    ) -> tuple[list[Fetched], Report]:
        """Fetch the official texts of sources, or of all that allow it, into the library.

        Raises QuestionError for an unknown source, LibraryError for one that may not be fetched.
        """
        known = dict.fromkeys(file.source_id for file in load_official(self.corpus.folder))
        names = _known("source", source, list(self.corpus.by_source)) or tuple(known)
        sources = [self.corpus.by_source[name].source for name in names]
        return self.library.fetch(sources, progress=progress)

    def official(self, provision: Provision) -> Provision | None:
        """The passage of the official text that a provision digests, if the text was fetched.

        That is the nearest one that holds the locator, else the nearest one.
        """
        return official_passage(provision, self._retriever)

    def document(self, source_id: str) -> Document:
        """A source's digest: its text, to which the offsets of citations refer."""
        found = self.corpus.by_source.get(source_id) or self._retriever.shelf.document(source_id)
        if found is None:
            raise QuestionError(f"No source has the id '{source_id[:80]}'.")
        return found

    def sources(self) -> list[SourceSummary]:
        """What the corpus holds, in the order of its files."""
        order = list(self.corpus.taxonomy.phases)
        return [
            SourceSummary(
                id=document.source.id,
                title=document.source.title,
                publisher=document.source.publisher,
                kind=document.source.kind,
                version=document.source.version,
                url=document.source.url,
                licence=document.source.licence,
                provisions=len(document.provisions),
                phases=tuple(
                    sorted(
                        {phase for entry in document.provisions for phase in entry.phases},
                        key=order.index,
                    )
                ),
            )
            for document in self.corpus.documents
        ]

    def coverage(self) -> dict[str, dict[str, int]]:
        """How many provisions there are for each phase and concern: phase -> concern -> count."""
        taxonomy = self.corpus.taxonomy
        matrix = {phase: dict.fromkeys(taxonomy.concerns, 0) for phase in taxonomy.phases}
        for provision in self.corpus.provisions:
            for phase in provision.phases:
                for concern in provision.concerns:
                    matrix[phase][concern] += 1
        return matrix

    def collections(self) -> tuple[str, ...]:
        """What a question may include or leave out: "shipped", then the library's by name."""
        own = {collection_of(source.id) for source in self._retriever.shelf.sources()}
        return (SHIPPED, *sorted(own))

    def _filters(
        self,
        phase: Any,
        kind: Any,
        jurisdiction: Any,
        source: Any,
        collection: Any = None,
        without: Any = None,
    ) -> Filters:
        own = self._retriever.shelf.sources()
        shipped = [document.source for document in self.corpus.documents]
        jurisdictions = {entry.jurisdiction for entry in (*shipped, *own)}
        kinds = dict.fromkeys((*self.corpus.taxonomy.kinds, *(entry.kind for entry in own)))
        return Filters(
            phases=_known("phase", phase, list(self.corpus.taxonomy.phases)),
            kinds=_known("kind", kind, list(kinds)),
            jurisdictions=_known("jurisdiction", jurisdiction, sorted(jurisdictions)),
            sources=_known("source", source, [entry.id for entry in (*shipped, *own)]),
            collections=_known("collection", collection, list(self.collections())),
            without=_known("collection", without, list(self.collections())),
        )

    @property
    def _retriever(self) -> Retriever:
        if self._reader is None:
            raise AssistantClosed
        return self._reader

    def _read_text(self, source_id: str) -> tuple[str, str]:
        """A document's text and digest as they are now, of the corpus or of the library."""
        own = collection_of(source_id) != SHIPPED
        return self._retriever.shelf.read_text(source_id) if own else self._reread(source_id)

    def close(self) -> None:
        """Release files and threads; closing twice does nothing more.

        What reads the index raises AssistantClosed from then on: ask, stream, checklist, search and
        confidence. The others read the corpus, which stays in memory.
        """
        self._reader = None
        self.index.close()
        self._shelf.close()

    def __enter__(self) -> Assistant:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _known(name: str, given: str | Sequence[str] | None, allowed: list[str]) -> tuple[str, ...]:
    values = (given,) if isinstance(given, str) else tuple(given or ())
    for value in values:
        if value not in allowed:
            raise QuestionError(f"Unknown {name} '{value[:80]}'. Known: {', '.join(allowed)}.")
    return values
