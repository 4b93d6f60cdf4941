"""The assistant, opened in the background so that the page can show how far the index is."""

from __future__ import annotations

import threading
from typing import Any

from assistant.api import Assistant
from assistant.settings import Settings


class Opening:
    """Opens the assistant in a thread; ``state`` says how far it is, ``result`` waits for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._done = threading.Event()
        self._assistant: Assistant | None = None
        self._failure: Exception | None = None
        self._stage: tuple[str, int, int] = ("opening", 0, 0)
        threading.Thread(target=self._open, name="opening", daemon=True).start()

    def state(self) -> dict[str, Any]:
        """``ready`` and ``failure``, and of a build the stage and its steps, done and in all."""
        stage, done, total = self._stage
        return {
            "ready": self._assistant is not None,
            "failure": str(self._failure or ""),
            "stage": stage,
            "done": done,
            "total": total,
        }

    def result(self, timeout_s: float | None = None) -> Assistant | None:
        """The assistant, or None if it is not open in time; raises what kept it from opening."""
        if not self._done.wait(timeout_s):
            return None
        if self._failure is not None:
            raise self._failure
        return self._assistant

    def close(self) -> None:
        """Close the assistant, if it was opened."""
        if self._assistant is not None:
            self._assistant.close()

    def _open(self) -> None:
        try:
            self._assistant = Assistant.open(self._settings, progress=self._progress)
        except Exception as error:
            self._failure = error
        finally:
            self._done.set()

    def _progress(self, stage: str, done: int, total: int) -> None:
        self._stage = (stage, done, total)
