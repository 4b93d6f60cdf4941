"""Question -> ranked Hits: dense and lexical candidates, scored together; identifiers looked up.

Scores are a weighted sum of signals that each lie in 0..1 (cosines can fall below 0). The weights
are fitted on development questions and live in ``ranking.json`` of the recipe folder.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from assistant.documents import Corpus, Mention
from assistant.embedding import Embedder, Vectors
from assistant.index import Asked, Index, Part
from assistant.library import SHIPPED, Found, Shelf, Shelved
from assistant.questions import WISHES, Question, Scope, content_words
from assistant.ranking import CONFIDENCE, Ranking, relevances
from assistant.taxonomy import BINDINGS
from assistant.types import Document, Provision, Source

CANDIDATES = 60
HITS = 50
SHELVED = 8
"""How many passages of the library a question gets; their sentences are embedded for it."""
TEXTS: Mapping[str, tuple[Part, ...]] = {
    "passage": ("passage",),
    "ask": ("ask", "asked"),
    "segment": ("segment",),
}
"""The signals that are the best cosine of a provision's texts, and the parts of its texts each sees."""
_NEIGHBOURS = 5
_WORDS = 0.3
"""What holding all the question's words adds to the cosine that a neighbour lends."""
_LONG = 2000
"""Characters from which on a provision counts as long, no matter how long."""
_CURRENT = "current"
_FEW = 5
USUAL: Mapping[str, float] = {"uncovered": 0.42, "uncovered_few": 0.38}
"""What ``nearness`` says of the median development question that is covered."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What an answer may draw on; an empty tuple allows everything.

    phases steer the ranking and do not exclude; the others do. collections: names of those to use,
    "shipped" being the corpus. without: names of those to leave out.
    """

    phases: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def allows(self, source: Source) -> bool:
        """Whether provisions of a source may be used."""
        return (
            (not self.kinds or source.kind in self.kinds)
            and (not self.jurisdictions or source.jurisdiction in self.jurisdictions)
            and (not self.sources or source.id in self.sources)
            and self.includes(collection_of(source.id))
        )

    def within(self, scope: Scope) -> Filters:
        """These filters, and the scope of a question where they leave a choice."""
        return replace(
            self,
            kinds=self.kinds or scope.kinds,
            jurisdictions=self.jurisdictions or scope.jurisdictions,
            sources=self.sources or scope.sources,
        )

    def includes(self, collection: str) -> bool:
        """Whether a collection may be used."""
        chosen = not self.collections or collection in self.collections
        return chosen and collection not in self.without

    def where(self) -> dict[str, object] | None:
        """The same as a Chroma filter; None if nothing is excluded."""
        parts: list[dict[str, object]] = [
            {key: {"$in": list(values)}}
            for key, values in (
                ("kind", self.kinds),
                ("jurisdiction", self.jurisdictions),
                ("source", self.sources),
            )
            if values
        ]
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else {"$and": parts}


@dataclass(frozen=True, slots=True)
class Hit:
    """A provision found for a question, with its score and the signals it is made of.

    relevance: the probability, in 0..1, that it answers the question or helps to.
    """

    provision: Provision
    document: Document
    score: float
    relevance: float
    signals: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What retrieval hands on.

    hits: best first. exact: provisions that an identifier names, in order of mention.
    unknown: identifiers that name none. confidence: evidence that the corpus covers the question,
    by feature, each in 0..1. documents: those of all hits, by source id. sentences: of the hits from
    the library, by provision id, the vectors of their segments.
    """

    hits: tuple[Hit, ...]
    exact: tuple[Provision, ...]
    unknown: tuple[Mention, ...]
    confidence: Mapping[str, float]
    vector: Vectors = field(repr=False)
    documents: Mapping[str, Document] = field(repr=False)
    sentences: Mapping[str, Vectors] = field(repr=False)


class Retriever:
    """Ranks the provisions of an open index and of the library, if there is one.

    questions: embeds what is asked; the one of the texts unless given. Safe to use from several threads.
    """

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        ranking: Ranking,
        shelf: Shelf | None = None,
        questions: Embedder | None = None,
    ) -> None:
        self.index, self.embedder, self.ranking = index, embedder, ranking
        self.questions = questions or embedder
        self.shelf = shelf or Shelf(None, embedder)
        self._holders = lru_cache(maxsize=20_000)(self._find_holders)
        provisions = index.corpus.provisions
        sources = [index.corpus.by_source[entry.source_id].source for entry in provisions]
        places = {source_id: place for place, source_id in enumerate(index.corpus.by_source)}
        self._source = np.array([places[entry.source_id] for entry in provisions])
        self._binding = np.array([source.binding for source in sources])
        self._superseded = np.array([entry.status != _CURRENT for entry in provisions], np.float32)
        self._lengths = np.array([_length(entry) for entry in provisions], np.float32)
        self._passages = [rows["passage"][0] for rows in index.rows_of]
        self._rows = {
            signal: [[row for part in parts for row in rows[part]] for rows in index.rows_of]
            for signal, parts in TEXTS.items()
        }
        self._asked = Asked(index)

    def retrieve(
        self, question: Question, filters: Filters = Filters(), limit: int = 50
    ) -> Retrieved:
        """Rank provisions for a question; see Retrieved."""
        filters = filters.within(question.scope)
        vector = self.questions.embed([question.asked])[0]
        exact, unknown = self._look_up(question, filters)
        hits = self._hits(question, vector, filters)
        documents: Mapping[str, Document] = self.index.corpus.by_source
        found = self._shelved(question, vector, filters)
        if found.passages:
            hits = _merged(hits, self._library_hits(question, vector, found, filters))
            own = {entry.document.source.id: entry.document for entry in found.passages}
            documents = ChainMap(own, self.index.corpus.by_source)
        chances = relevances([hit.score for hit in hits], self.ranking)
        hits = [replace(hit, relevance=p) for hit, p in zip(hits, chances, strict=True)]
        confidence = self._confidence(question, hits, vector, found)
        sentences = {entry.provision.id: entry.sentences for entry in found.passages}
        return Retrieved(
            tuple(hits[:limit]), exact, unknown, confidence, vector, documents, sentences
        )

    def _shelved(self, question: Question, vector: Vectors, filters: Filters) -> Found:
        """What the library holds on a question."""
        words = self._word_weights(question.words)
        return self.shelf.search(vector, words, filters.allows, SHELVED)

    def _library_hits(
        self, question: Question, vector: Vectors, found: Found, filters: Filters
    ) -> list[Hit]:
        """Passages of the library as hits, by the signals that provisions have.

        Nobody wrote down which questions a passage answers: its best sentence stands for them. BM25
        of two collections cannot be compared: the share of the question's words stands for it, and
        what a passage has itself for what its neighbours have.
        """
        weights = self._word_weights(question.words)
        phases = frozenset(filters.phases or question.phases)
        hits = []
        for entry in found.passages:
            segment = float((entry.sentences @ vector).max())
            coverage = sum(weights[word] for word in weights if word in entry.words)
            binding = entry.document.source.binding
            near = max(entry.cosine, segment)
            signals = {
                "passage": entry.cosine,
                "ask": near,
                "segment": segment,
                "linked": 0.0,
                "neighbours": near + _WORDS * coverage,
                "lexical": coverage,
                "coverage": coverage,
                "phase": _phase_match(entry.provision, phases),
                "concern": float(not set(question.concerns).isdisjoint(entry.provision.concerns)),
                "law_asked": float(question.law and binding == "binding"),
                "law_unasked": float(not question.law and binding == "binding"),
                "evidence": float(binding == "evidence"),
                "evidence_asked": float(question.events and binding == "evidence"),
                "length": _length(entry.provision),
                "superseded": 0.0,
            }
            score = sum(self.ranking.weights[name] * value for name, value in signals.items())
            hits.append(Hit(entry.provision, entry.document, score, 0.0, signals))
        return hits

    def _direction(self, vector: Vectors) -> float:
        """How far the question lies in the fitted direction; 0 for another embedding model."""
        if self.ranking.direction_model != self.questions.digest:
            return 0.0
        return float(self.ranking.direction @ vector)

    def _uncovered(self, vector: Vectors, of_library: bool) -> Mapping[str, float]:
        """How near known uncovered questions are; at most USUAL for an answer from the library.

        Of what the user's own documents answer nothing is known.
        """
        known = self.index.uncovered
        if len(known) < _FEW:
            return USUAL
        found = nearness(known @ vector)
        return {name: min(found[name], USUAL[name]) for name in USUAL} if of_library else found

    def _find_holders(self, word: str) -> frozenset[int]:
        return self.index.lexical.holders(word)

    def _look_up(
        self, question: Question, filters: Filters
    ) -> tuple[tuple[Provision, ...], tuple[Mention, ...]]:
        corpus = self.index.corpus
        if not filters.includes(SHIPPED):
            return (), ()
        exact = {
            provision.id: provision
            for provision in question.provisions
            if filters.allows(corpus.by_source[provision.source_id].source)
        }
        unknown: list[Mention] = []
        for mention in question.mentions:
            found = [
                provision
                for provision in look_up(mention, corpus)
                if filters.allows(corpus.by_source[provision.source_id].source)
            ]
            exact.update((provision.id, provision) for provision in found)
            if not found:
                unknown.append(mention)
        return tuple(exact.values()), tuple(unknown)

    def _hits(self, question: Question, vector: Vectors, filters: Filters) -> list[Hit]:
        if not filters.includes(SHIPPED):
            return []
        index, where = self.index, filters.where()
        words = self._telling(question.words)
        lexical = dict(index.lexical.search(words, self.ranking.fields, 4 * CANDIDATES))
        candidates = set(list(lexical)[:CANDIDATES])
        documents = index.corpus.by_source.values()
        allowed = np.array([filters.allows(document.source) for document in documents])[
            self._source
        ]
        asked = self._asked.nearest(vector, allowed, CANDIDATES)
        for binding in BINDINGS:
            records = index.store.nearest(binding, vector[None], CANDIDATES, where)[0]
            near = [(cosine, index.records[key][0]) for key, cosine in records] + asked[binding]
            candidates.update(number for _, number in heapq.nlargest(CANDIDATES, near))
        numbers = sorted(number for number in candidates if allowed[number])
        if not numbers:
            return []
        signals = self._signals(numbers, question, vector, filters, lexical)
        weights = np.array([self.ranking.weights[name] for name in signals], np.float32)
        scores = weights @ np.stack(list(signals.values()))
        provisions = [index.corpus.provisions[number] for number in numbers]
        order = sorted(
            range(len(numbers)), key=lambda place: (-scores[place], provisions[place].id)
        )
        return [
            Hit(
                provisions[place],
                index.corpus.by_source[provisions[place].source_id],
                float(scores[place]),
                0.0,
                {name: float(values[place]) for name, values in signals.items()},
            )
            for place in order[:HITS]
        ]

    def _signals(
        self,
        numbers: list[int],
        question: Question,
        vector: Vectors,
        filters: Filters,
        lexical: Mapping[int, float],
    ) -> dict[str, Vectors]:
        """The signals of ranking.json for each provision; float32 arrays in order of numbers."""
        provisions = [self.index.corpus.provisions[number] for number in numbers]
        phases = frozenset(filters.phases or question.phases)
        concerns = frozenset(question.concerns)
        best = max(lexical.values(), default=1.0)
        matched = [_phase_match(entry, phases) for entry in provisions]
        shared = [not concerns.isdisjoint(entry.concerns) for entry in provisions]
        cosines = self._cosines(numbers, vector)
        near = np.maximum(cosines["passage"], cosines["ask"])
        coverage = self._coverages(self._word_weights(question.words), numbers)
        law = self._binding[numbers] == "binding"
        evidence = self._binding[numbers] == "evidence"
        return {
            **cosines,
            "linked": self._linked(numbers, near),
            "neighbours": self._neighbours(numbers, near + _WORDS * coverage),
            "lexical": np.array(
                [lexical.get(number, 0.0) / best for number in numbers], np.float32
            ),
            "coverage": coverage,
            "phase": np.array(matched, np.float32),
            "concern": np.array(shared, np.float32),
            "law_asked": np.float32(question.law) * law,
            "law_unasked": np.float32(not question.law) * law,
            "evidence": evidence.astype(np.float32),
            "evidence_asked": np.float32(question.events) * evidence,
            "length": self._lengths[numbers],
            "superseded": self._superseded[numbers],
        }

    def _linked(self, numbers: list[int], cosines: Vectors) -> Vectors:
        """For each provision, the best cosine among those that the crosswalk links it to; else 0."""
        corpus = self.index.corpus
        best = dict(zip((corpus.provisions[number].id for number in numbers), cosines, strict=True))
        return np.array(
            [
                max(
                    (best.get(link.object, 0.0) for link in corpus.related.get(id, ())), default=0.0
                )
                for id in best
            ],
            np.float32,
        )

    def _neighbours(self, numbers: list[int], evidence: Vectors) -> Vectors:
        """For each provision, the mean evidence of those nearest to it, by their nearness.

        What answers a question is seldom alone in it: near texts are relevant to the same questions
        (the cluster hypothesis, van Rijsbergen 1979).
        """
        passages = self.index.vectors[[self._passages[number] for number in numbers]]
        nearness = passages @ passages.T
        np.fill_diagonal(nearness, -1.0)
        nearest = np.argsort(-nearness, axis=1, kind="stable")[:, :_NEIGHBOURS]
        weights = np.take_along_axis(nearness, nearest, axis=1).clip(1e-6)
        mean: Vectors = (evidence[nearest] * weights).sum(axis=1) / weights.sum(axis=1)
        return mean

    def _cosines(self, numbers: list[int], vector: Vectors) -> dict[str, Vectors]:
        """For each part, the best cosine of each provision; float32 arrays in order of numbers."""
        blocks = [rows[number] for rows in self._rows.values() for number in numbers]
        starts = np.cumsum([0] + [len(block) for block in blocks[:-1]])
        values = self.index.vectors[[row for block in blocks for row in block]] @ vector
        best = np.maximum.reduceat(values, starts).reshape(len(TEXTS), len(numbers))
        return dict(zip(TEXTS, best, strict=True))

    def _telling(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The words worth a lexical search: not those that a quarter of all provisions hold."""
        most = len(self.index.corpus.provisions) / 4
        rare = tuple(word for word in words if len(self._holders(word)) <= most)
        return rare or words

    def _word_weights(self, words: tuple[str, ...]) -> dict[str, float]:
        """Each content word's share of the question: its inverse document frequency, summing to 1."""
        total = len(self.index.corpus.provisions)
        raw = {word: math.log(1 + total / (1 + len(self._holders(word)))) for word in words}
        norm = sum(raw.values()) or 1.0
        return {word: value / norm for word, value in raw.items()}

    def _coverages(self, weights: Mapping[str, float], numbers: list[int]) -> Vectors:
        """For each provision, the weight of the question's content words that it holds, in 0..1."""
        found = np.zeros(len(numbers), np.float32)
        place = {number: position for position, number in enumerate(numbers)}
        for word, weight in weights.items():
            found[[place[number] for number in self._holders(word) & place.keys()]] += weight
        return found

    def _confidence(
        self, question: Question, hits: list[Hit], vector: Vectors, found: Found
    ) -> dict[str, float]:
        """Evidence that the corpus covers the question; each about 0..1, all 0 without hits."""
        if not hits:
            return dict.fromkeys(CONFIDENCE, 0.0)
        weights = self._word_weights(question.words)
        held = self._held_words(weights, hits[:5], found)
        own = {entry.provision.id for entry in found.passages}
        wishes = set(question.wishes) - ({"inside"} if hits[0].provision.id in own else set())
        dense = sorted(hits, key=lambda hit: -max(hit.signals["ask"], hit.signals["passage"]))[:10]
        lexical = sorted(hits, key=lambda hit: -hit.signals["lexical"])[:10]
        both = {hit.provision.id for hit in dense} & {hit.provision.id for hit in lexical}
        first = hits[0].signals
        return {
            "ask": max(hit.signals["ask"] for hit in hits[:5]),
            "passage": max(hit.signals["passage"] for hit in hits[:5]),
            "segment": max(hit.signals["segment"] for hit in hits[:5]),
            "first": max(first["ask"], first["passage"], first["segment"]),
            "coverage": sum(value for word, value in weights.items() if word in held),
            "lead_coverage": first["coverage"],
            "known": sum(
                value
                for word, value in weights.items()
                if word in found.known or self._holders(word)
            ),
            "agreement": len(both) / 10,
            "margin": hits[0].score - hits[min(9, len(hits) - 1)].score,
            "question": self._direction(vector),
            **self._uncovered(vector, hits[0].provision.id in own),
            "topic": float(bool(question.concerns or question.phases)),
            "missing": max((w for word, w in weights.items() if word not in held), default=0.0),
            **{wish: float(wish in wishes) for wish in WISHES},
        }

    def _held_words(
        self, words: Iterable[str], hits: Sequence[Hit], found: Found
    ) -> frozenset[str]:
        """The words that any of the hits holds."""
        shelved = {entry.provision.id: entry.words for entry in found.passages}
        numbers = {
            self.index.number[hit.provision.id] for hit in hits if hit.provision.id not in shelved
        }
        own = frozenset[str]().union(*(shelved.get(hit.provision.id, ()) for hit in hits))
        return own | {word for word in words if not numbers.isdisjoint(self._holders(word))}


def nearness(cosines: Vectors) -> dict[str, float]:
    """How near known uncovered questions are, from their cosines: the nearest, and the mean of five."""
    nearest = np.partition(cosines, -_FEW)[-_FEW:]
    return {"uncovered": float(nearest.max()), "uncovered_few": float(nearest.mean())}


def collection_of(source_id: str) -> str:
    """The collection of a source: of the library's the part before "/", else the shipped corpus."""
    return source_id.partition("/")[0] if "/" in source_id else SHIPPED


def _merged(hits: list[Hit], others: list[Hit]) -> list[Hit]:
    """Two rankings as one, best first."""
    return sorted((*hits, *others), key=lambda hit: (-hit.score, hit.provision.id))[:HITS]


def official_passage(provision: Provision, retriever: Retriever) -> Provision | None:
    """The passage of a fetched official text that a provision of the corpus digests, if any."""
    document = retriever.index.corpus.by_source.get(provision.source_id)
    prefix = f"official/{provision.source_id}."
    fetched = any(source.id.startswith(prefix) for source in retriever.shelf.sources())
    if document is None or not fetched:
        return None
    text = document.text[provision.segments[0].start : provision.stop]
    words = dict.fromkeys(content_words(provision.locator), 1.0)
    found = retriever.shelf.search(
        retriever.embedder.embed([f"{provision.title}\n{text}"])[0],
        words,
        lambda source: source.id.startswith(prefix),
        SHELVED,
    ).passages
    named = [entry for entry in found if _holds(entry, provision.locator)]
    return next((entry.provision for entry in (*named, *found)), None)


def _holds(entry: Shelved, locator: str) -> bool:
    provision = entry.provision
    text = f"{provision.title}\n{entry.document.text[provision.start : provision.stop]}"
    return bool(re.search(rf"(?<![\w.]){re.escape(locator)}(?![\w]|\.\d)", text))


def look_up(mention: Mention, corpus: Corpus) -> tuple[Provision, ...]:
    """The provisions that an identifier names: itself, else its parts, else the whole it is part of.

    A family without a source of its own ("*") names every provision whose text holds the identifier.
    """
    if mention.family.source == "*":
        return tuple(
            provision
            for document in corpus.documents
            for provision in document.provisions
            if mention.locator in document.text[provision.start : provision.stop]
        )
    if mention.provision_id in corpus.by_id:
        return (corpus.by_id[mention.provision_id],)
    document = corpus.by_source.get(mention.family.source)
    if document is None or not mention.may_exist:
        return ()
    parts = tuple(
        provision
        for provision in document.provisions
        if provision.locator.startswith(
            (f"{mention.locator}(", f"{mention.locator} ", f"{mention.locator}.")
        )
    )
    if parts:
        return parts
    whole = mention.locator
    while "(" in whole:
        whole = whole[: whole.rindex("(")]
        if f"{document.source.id}#{whole}" in corpus.by_id:
            return (corpus.by_id[f"{document.source.id}#{whole}"],)
    return ()


def _length(provision: Provision) -> float:
    """How long a provision is, 1 for a long one."""
    return min(1.0, (provision.stop - provision.start) / _LONG)


def _phase_match(provision: Provision, phases: Set[str]) -> float:
    """1 if the provision's first phase is asked for, 0.5 if another one is, else 0."""
    if phases.isdisjoint(provision.phases):
        return 0.0
    return 1.0 if provision.phases[0] in phases else 0.5
