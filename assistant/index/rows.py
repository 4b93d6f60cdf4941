"""What is embedded of a corpus: passages, the questions they answer, and single sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from assistant.chunking import chunk_document, chunk_spans
from assistant.documents import Corpus
from assistant.types import Provision

Part = Literal["passage", "ask", "asked", "segment"]
PARTS: tuple[Part, ...] = get_args(Part)
STORED: tuple[Part, ...] = ("passage", "ask")
"""The parts that are records of the vector store; of the others only the vectors are kept."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text to embed; ``key`` is the digest of the text, so equal texts share a vector."""

    provision: Provision
    part: Part
    text: str
    key: str


def corpus_rows(corpus: Corpus, max_chars: int) -> Iterator[Row]:
    """Rows in corpus order: for each provision those of each of PARTS.

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
    return Row(provision, part, text, text_key(text))


def text_key(text: str) -> str:
    """The digest under which the vector of a text is kept."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def row_counts(corpus: Corpus, max_chars: int) -> Iterator[tuple[int, int, int, int]]:
    """For each provision, how many rows of each of PARTS ``corpus_rows`` gives."""
    for provision in corpus.provisions:
        passages = sum(1 for _ in chunk_spans(provision, max_chars))
        asked = len(corpus.asked.get(provision.id, ()))
        yield passages, len(provision.asks), asked, len(provision.segments)
