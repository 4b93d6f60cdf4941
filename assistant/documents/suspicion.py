"""Text in a file that gives orders to an AI, or that a reader of the file does not see."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.documents.extracted import Block, Suspicion


def find_suspicions(text: str, blocks: Sequence[Block]) -> tuple[Suspicion, ...]:
    """Spans of the text that are addressed to an assistant or are invisible, in order."""
    return ()
