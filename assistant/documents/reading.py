"""Reading users' files: each in a child process that can be stopped, so that none stops the run.

The child (child.py) serves one file after another. It is replaced when a file kills it or overruns
a limit, and after some hundreds of files, so that what a library leaks stays bounded.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from assistant.documents.extracted import Block, Extracted, Page, Suspicion
from assistant.errors import FileRefused

_FILES_PER_CHILD = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    input_bytes: size of the file; seconds: of wall-clock time; memory_bytes: address space of the
    child, where the platform can limit it; text_chars: characters of text that come out.
    """

    input_bytes: int = 200 * 2**20
    seconds: float = 120.0
    memory_bytes: int = 2 * 2**30
    text_chars: int = 20_000_000


def read_file(path: Path, limits: Limits = Limits()) -> Extracted:
    """The text of one file, read in a child process; raises FileRefused with the remedy."""
    with Reader(limits) as reader:
        return reader.read(path)


class Reader:
    """Reads many files through one child process; for one thread, as a context manager."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._child: subprocess.Popen[bytes] | None = None
        self._served = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def read(self, path: Path) -> Extracted:
        """The text of one file; raises FileRefused with the reason and the remedy."""
        child = self._running()
        overrun = threading.Event()

        def kill() -> None:
            overrun.set()
            child.kill()

        timer = threading.Timer(self._limits.seconds, kill)
        timer.start()
        try:
            reply = _ask(child, path)
        finally:
            timer.cancel()
            if sys.exc_info()[0]:
                self._stop()
        if reply is None:
            self._stop()
            if overrun.is_set():
                problem = f"was not read within {self._limits.seconds:g} seconds"
                raise FileRefused(path, "timeout", problem, "Split it into smaller files")
            problem = "ended the program that reads it, as damaged and hostile files do"
            raise FileRefused(path, "hostile", problem, "Open it and save it anew, or leave it out")
        if "reason" in reply:
            raise FileRefused(path, reply["reason"], reply["problem"], reply["remedy"])
        return _extracted(reply)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._served >= _FILES_PER_CHILD:
            self._stop()
        if self._child is None:
            # -P keeps the working folder, which may hold anything, off the module path.
            command = [sys.executable, "-P", "-m", "assistant.documents.child"]
            self._child = subprocess.Popen(
                [*command, json.dumps(asdict(self._limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._served = 0
        self._served += 1
        return self._child

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def _ask(child: subprocess.Popen[bytes], path: Path) -> dict[str, Any] | None:
    """Send a path and wait for the reply; None if the child died."""
    assert child.stdin and child.stdout
    try:
        child.stdin.write(json.dumps(str(path.absolute())).encode() + b"\n")
        child.stdin.flush()
        line = child.stdout.readline()
    except OSError:
        return None
    return json.loads(line) if line.endswith(b"\n") else None


def _extracted(reply: dict[str, Any]) -> Extracted:
    return Extracted(
        title=reply["title"],
        text=reply["text"],
        blocks=tuple(Block(*entry) for entry in reply["blocks"]),
        pages=tuple(Page(*entry) for entry in reply["pages"]),
        suspicions=tuple(Suspicion(*entry) for entry in reply["suspicions"]),
        metadata=reply["metadata"],
        media=reply["media"],
        sha256=reply["sha256"],
    )
