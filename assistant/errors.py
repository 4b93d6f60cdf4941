"""Every error that the assistant raises on purpose.

    AssistantError
    ├── CorpusError          a corpus file breaks the format: file, line, what is wrong
    ├── QuestionError        a question cannot be taken: empty, too long, unknown phase
    ├── SettingsError        a setting has a value that cannot be used
    ├── ModelError           the embedding model is absent, or is not the one that was pinned
    ├── AssistantClosed      it was asked after it had been closed
    ├── FileRefused          a file of the user's cannot be read, or must not be: path, why, remedy
    ├── LibraryError         the library of own documents cannot do what was asked of it
    └── IndexFailure         the index cannot be used
        ├── IndexMissing     there is none yet
        ├── IndexMismatch    it was built for another corpus, recipe or model
        ├── IndexDamaged     its files do not answer a query
        ├── IndexBusy        another process is building it
        └── IndexUnwritable  the cache cannot be written: read-only, or the disk is full

Each message is one sentence of what happened and one of what to do next.
"""

from __future__ import annotations

from pathlib import Path


class AssistantError(Exception):
    """Base of all errors raised on purpose; its text is fit to be shown to a user."""


class CorpusError(AssistantError):
    """A corpus file breaks the format described in corpus/README.md."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        self.path, self.line, self.problem = path, line, problem
        super().__init__(f"{path}:{line}: {problem}")


class QuestionError(AssistantError):
    """A question, phase or filter that cannot be taken as it is."""


class SettingsError(AssistantError):
    """A setting whose value cannot be used."""


class ModelError(AssistantError):
    """The embedding model cannot be found, or its weights are not the pinned ones."""


class AssistantClosed(AssistantError):
    """An assistant was asked after it had been closed."""

    def __init__(self) -> None:
        super().__init__("The assistant is closed. Open one with `Assistant.open()`.")


class FileRefused(AssistantError):
    """A user's file that gives no text.

    reason: "missing", "unreadable", "empty", "too-large", "unsupported", "wrong-extension",
    "encoding", "encrypted", "damaged", "scanned", "no-text", "hostile", "timeout" or "memory".
    """

    def __init__(self, path: Path, reason: str, problem: str, remedy: str) -> None:
        self.path, self.reason, self.problem, self.remedy = path, reason, problem, remedy
        super().__init__(f"{path} {problem}. {remedy}.")


class LibraryError(AssistantError):
    """The library cannot be opened or written, or has nothing of the name that was given."""


class IndexFailure(AssistantError):
    """The index cannot be used; the subclasses say why."""


class IndexMissing(IndexFailure):
    """There is no index yet."""


class IndexMismatch(IndexFailure):
    """The index belongs to another corpus, recipe or embedding model."""


class IndexDamaged(IndexFailure):
    """The index exists and does not answer queries."""


class IndexBusy(IndexFailure):
    """Another process holds the lock on building."""


class IndexUnwritable(IndexFailure):
    """The cache folder cannot be written."""
