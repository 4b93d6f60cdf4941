"""What an answer says: sentences chosen from the sources, or written by a language model."""

from assistant.generation.extractive import (
    MAX_CITATIONS,
    SAME,
    Draft,
    Span,
    extract,
    roles_in_order,
    spans_in,
    spans_of,
)
from assistant.generation.model import (
    NO_MODEL,
    ChatModel,
    LanguageModel,
    ModelFailure,
    Replayed,
    open_model,
)

__all__ = [
    "MAX_CITATIONS",
    "NO_MODEL",
    "SAME",
    "ChatModel",
    "Draft",
    "LanguageModel",
    "ModelFailure",
    "Replayed",
    "Span",
    "extract",
    "open_model",
    "roles_in_order",
    "spans_in",
    "spans_of",
]
