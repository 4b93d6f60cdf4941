"""The other side of `worker.py`: starts a peer's process and asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from evals.peers.base import Passage
from evals.peers.registry import install_command, interpreter_variable

ROOT = Path(__file__).resolve().parents[2]
_QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "CUDA_VISIBLE_DEVICES": "",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "TRANSFORMERS_OFFLINE": "1",
}
"""No downloads, no telemetry, and the processor alone for every peer."""


class PeerUnavailable(Exception):
    """A peer cannot run, or broke down; the message goes into its row of the table."""


class PeerProcess:
    """A peer in a process of its own. Use as a context manager.

    folder: an empty folder, for the peer's files and for ``log.txt``, what its libraries say.
    corpus: the corpus folder, for the peers that read files instead of passages.
    Raises PeerUnavailable, on entering and from both methods.
    """

    def __init__(self, name: str, folder: Path, corpus: Path) -> None:
        self._name, self._folder, self._corpus = name, folder, corpus
        self._python = os.environ.get(interpreter_variable(name)) or sys.executable

    def __enter__(self) -> PeerProcess:
        self._log = (self._folder / "log.txt").open("wb")
        try:
            self._process = subprocess.Popen(
                [self._python, "-m", "evals.peers.worker", self._name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={
                    **os.environ,
                    **_QUIET,
                    "PYTHONPATH": str(ROOT),
                    "SAFETY_ASSISTANT_CORPUS": str(self._corpus),
                },
                encoding="utf-8",
            )
        except OSError as error:
            self._log.close()
            variable = interpreter_variable(self._name)
            raise PeerUnavailable(f"{variable} names no interpreter: {error}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()
        self._log.close()

    def index(self, passages: Sequence[Passage]) -> tuple[str, float]:
        """Index the passages; returns what ran (libraries and versions) and the seconds it took."""
        store = self._folder / "store"
        store.mkdir()
        rows = [asdict(passage) for passage in passages]
        reply = self._ask({"do": "index", "folder": str(store), "passages": rows})
        return reply["version"], reply["index_s"]

    def search(self, query: str, k: int) -> tuple[list[str], float]:
        """Ids, best first, and the milliseconds it took (in the process, without the pipe)."""
        reply = self._ask({"do": "search", "query": query, "k": k})
        return list(dict.fromkeys(key for key, _ in reply["hits"])), reply["search_ms"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise PeerUnavailable(f"failed: the process ended; {self._last_words()}")
        reply: dict[str, Any] = json.loads(line)
        if "missing" in reply:
            command = install_command(self._name)
            raise PeerUnavailable(f"not installed: no '{reply['missing']}'; run `{command}`")
        if "error" in reply:
            raise PeerUnavailable(f"failed: {reply['error']}")
        return reply

    def _last_words(self) -> str:
        lines = (self._folder / "log.txt").read_text("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
