"""What is embedded of a corpus: passages, the questions they answer, and single sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from assistant.chunking import chunk_document, chunk_spans
from assistant.documents import Corpus
from assistant.types import Provision

Part = Literal["passage", "ask", "asked", "segment"]


@dataclass(frozen=True, slots=True)
class Row:
    """One text to embed; ``key`` is the digest of the text, so equal texts share a vector."""

    provision: Provision
    part: Part
    text: str
    key: str


def corpus_rows(corpus: Corpus, max_chars: int) -> Iterator[Row]:
    """Rows in corpus order: for each provision its chunks, its questions, its sentences.

    A chunk is embedded under its provision's title, which says what the sentences are about.
    """
    for document in corpus.documents:
        chunks: dict[str, list[str]] = {}
        for chunk in chunk_document(document, max_chars):
            chunks.setdefault(chunk.provision_id, []).append(chunk.text)
        for provision in document.provisions:
            for text in chunks[provision.id]:
                yield _row(provision, "passage", f"{provision.title}\n{text}")
            for text in provision.asks:
                yield _row(provision, "ask", text)
            for text in corpus.asked.get(provision.id, ()):
                yield _row(provision, "asked", text)
            for segment in provision.segments:
                yield _row(provision, "segment", document.quote(segment))


def _row(provision: Provision, part: Part, text: str) -> Row:
    return Row(provision, part, text, hashlib.sha256(text.encode()).hexdigest()[:24])


def row_counts(corpus: Corpus, max_chars: int) -> Iterator[tuple[int, int, int]]:
    """For each provision, how many passages, asks and segments ``corpus_rows`` gives."""
    for provision in corpus.provisions:
        passages = sum(1 for _ in chunk_spans(provision, max_chars))
        asks = len(provision.asks) + len(corpus.asked.get(provision.id, ()))
        yield passages, asks, len(provision.segments)
