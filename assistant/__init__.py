"""Safety guideline assistant: cited answers to developers' AI safety questions.

    from assistant import Assistant

    with Assistant.open() as assistant:
        answer = assistant.ask("May I load a .bin checkpoint I found on a model hub?")

Importing this package loads no torch and no chromadb, and opens no socket.
"""

from typing import TYPE_CHECKING, Any

from assistant.api import Assistant, Confidence, SourceSummary
from assistant.code_context import CodeContext
from assistant.documents import Link
from assistant.errors import (
    AssistantClosed,
    AssistantError,
    CorpusError,
    FileRefused,
    IndexBusy,
    IndexDamaged,
    IndexFailure,
    IndexMismatch,
    IndexMissing,
    IndexUnwritable,
    LibraryError,
    ModelError,
    QuestionError,
    SettingsError,
)
from assistant.library import Fetched, Held, Library, LibraryDocument, OfficialFile, Outcome, Report
from assistant.retrieval import Hit
from assistant.schema import json_schema
from assistant.settings import Settings, load_settings
from assistant.types import (
    Answer,
    Checked,
    Checklist,
    ChecklistItem,
    Citation,
    Document,
    Noticed,
    Page,
    Passage,
    Provision,
    Record,
    Reply,
    Said,
    Segment,
    Source,
    Statement,
    Topic,
)

if TYPE_CHECKING:
    from assistant.aio import AsyncAssistant

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Assistant",
    "AssistantClosed",
    "AssistantError",
    "AsyncAssistant",
    "Checked",
    "Checklist",
    "ChecklistItem",
    "Citation",
    "CodeContext",
    "Confidence",
    "CorpusError",
    "Document",
    "Fetched",
    "FileRefused",
    "Held",
    "Hit",
    "IndexBusy",
    "IndexDamaged",
    "IndexFailure",
    "IndexMismatch",
    "IndexMissing",
    "IndexUnwritable",
    "Library",
    "LibraryDocument",
    "LibraryError",
    "Link",
    "ModelError",
    "Noticed",
    "OfficialFile",
    "Outcome",
    "Page",
    "Passage",
    "Provision",
    "QuestionError",
    "Record",
    "Reply",
    "Report",
    "Said",
    "Segment",
    "Settings",
    "SettingsError",
    "Source",
    "SourceSummary",
    "Statement",
    "Topic",
    "json_schema",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    """AsyncAssistant, imported when it is first named: asyncio would cost every import a tenth."""
    if name == "AsyncAssistant":
        from assistant.aio import AsyncAssistant

        return AsyncAssistant
    raise AttributeError(f"module 'assistant' has no attribute {name!r}")
