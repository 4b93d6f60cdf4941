"""Document -> Chunks: contiguous spans of a provision's sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assistant.types import Document, Provision


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: ``document.text[start:stop] == text``, offsets in characters."""

    provision_id: str
    start: int
    stop: int
    text: str


def chunk_document(document: Document, max_chars: int) -> Iterator[Chunk]:
    """Cut each provision into chunks of at most ``max_chars`` characters, between sentences.

    A provision that is short enough is one chunk. A single sentence longer than the limit is a
    chunk of its own: sentences are never torn.
    """
    for provision in document.provisions:
        for start, stop in chunk_spans(provision, max_chars):
            yield Chunk(provision.id, start, stop, document.text[start:stop])


def chunk_spans(provision: Provision, max_chars: int) -> Iterator[tuple[int, int]]:
    """The (start, stop) offsets of a provision's chunks, see chunk_document."""
    start, stop = provision.segments[0].start, provision.segments[0].stop
    for segment in provision.segments[1:]:
        if segment.stop - start > max_chars:
            yield start, stop
            start = segment.start
        stop = segment.stop
    yield start, stop
