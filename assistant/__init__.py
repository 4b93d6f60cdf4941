"""Safety guideline assistant: cited answers to developers' AI safety questions.

    from assistant import Assistant

    with Assistant.open() as assistant:
        answer = assistant.ask("May I load a .bin checkpoint I found on a model hub?")

Importing this package loads no torch and no chromadb, and opens no socket.
"""

from assistant.api import Assistant, Confidence, SourceSummary
from assistant.code_context import CodeContext
from assistant.errors import (
    AssistantError,
    CorpusError,
    IndexBusy,
    IndexDamaged,
    IndexFailure,
    IndexMismatch,
    IndexMissing,
    IndexUnwritable,
    ModelError,
    QuestionError,
    SettingsError,
)
from assistant.retrieval import Hit
from assistant.settings import Settings, load_settings
from assistant.types import (
    Answer,
    Checklist,
    ChecklistItem,
    Citation,
    Document,
    Noticed,
    Provision,
    Said,
    Segment,
    Source,
    Statement,
    Topic,
)

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Assistant",
    "AssistantError",
    "Checklist",
    "ChecklistItem",
    "Citation",
    "CodeContext",
    "Confidence",
    "CorpusError",
    "Document",
    "Hit",
    "IndexBusy",
    "IndexDamaged",
    "IndexFailure",
    "IndexMismatch",
    "IndexMissing",
    "IndexUnwritable",
    "ModelError",
    "Noticed",
    "Provision",
    "QuestionError",
    "Said",
    "Segment",
    "Settings",
    "SettingsError",
    "Source",
    "SourceSummary",
    "Statement",
    "Topic",
    "load_settings",
]
