"""The child process of reading.py: a path a line on standard input, a JSON object a line back."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import astuple
from importlib import import_module
from pathlib import Path
from typing import Any

from assistant.documents.formats.draft import Draft, Refusal
from assistant.documents.formats.sniff import media_of
from assistant.documents.suspicion import find_suspicions

_MODULES = {
    "pdf": "pdf",
    "docx": "docx",
    "html": "html",
    "markdown": "markdown",
    "text": "plain",
    "csv": "records",
    "json": "records",
    "yaml": "records",
}
_GRACE_S = 5
"""So long after a file's time the parent, which keeps that limit, is taken to be gone."""


def main() -> None:
    """Serve until standard input ends, which it also does when the parent is killed."""
    limits = json.loads(sys.argv[1])
    _limit_memory(limits["memory_bytes"])
    # The replies go where standard output went; what a library prints goes nowhere.
    with os.fdopen(os.dup(1), "wb") as replies, os.fdopen(0, "rb") as paths:
        os.dup2(2, 1)
        for line in paths:
            _end_after(math.ceil(limits["seconds"]) + _GRACE_S)
            replies.write(json.dumps(_answer(Path(json.loads(line)), limits)).encode() + b"\n")
            replies.flush()
            _end_after(0)  # the next file may be minutes away, while the parent embeds


def _end_after(seconds: int) -> None:
    """End by itself then, in case the parent is gone; 0: not at all. Windows cannot."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has none
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ValueError, OSError):  # macOS knows the name and refuses the value
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _answer(path: Path, limits: dict[str, Any]) -> dict[str, Any]:
    try:
        return read(path, limits["input_bytes"], limits["text_chars"])
    except Refusal as refusal:
        return _refused(refusal.reason, refusal.problem, refusal.remedy)
    except RecursionError:
        problem = "is nested deeper than any document needs to be"
        return _refused("hostile", problem, "Leave it out, or save it anew from the original")
    except MemoryError:
        problem = f"needs more than {limits['memory_bytes'] // 2**20:,} MiB of memory to be read"
        return _refused("memory", problem, "Split it into smaller files")
    except Exception as error:
        problem = f"is damaged ({type(error).__name__}: {error})"
        return _refused("damaged", problem, "Open it in the program that made it and save it again")


def _refused(reason: str, problem: str, remedy: str) -> dict[str, Any]:
    return {"reason": reason, "problem": problem[:300], "remedy": remedy}


def read(path: Path, input_bytes: int, text_chars: int) -> dict[str, Any]:
    """The fields of Extracted as JSON values; raises Refusal and whatever a library raises."""
    raw = _bytes(path, input_bytes)
    media = media_of(path.suffix, raw)
    module = import_module(f"assistant.documents.formats.{_MODULES[media]}")
    convert: Callable[[bytes, str, Draft], None] = module.convert
    draft = Draft(text_chars)
    convert(raw, media, draft)
    if not draft.blocks:
        raise Refusal("no-text", "holds no text", "Check that it is the right file")
    text = draft.text
    suspicions = [*draft.suspicions, *find_suspicions(text, draft.blocks)]
    return {
        "title": " ".join((draft.title or draft.first_heading() or path.stem).split()),
        "text": text,
        "blocks": [astuple(block) for block in draft.blocks],
        "pages": [astuple(page) for page in draft.pages],
        "suspicions": [astuple(found) for found in sorted(suspicions, key=lambda s: s.start)],
        "metadata": draft.metadata,
        "media": media,
        "sha256": hashlib.sha256(raw).hexdigest(),
    }


def _bytes(path: Path, limit: int) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Refusal("unreadable", "is not a file", "Name a file, or a folder to add")
        if status.st_size > limit:
            problem = f"is larger than {limit / 2**20:,.0f} MiB"
            raise Refusal("too-large", problem, "Split it into smaller files and add those")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise Refusal("missing", "does not exist", "Check its name") from None
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise Refusal("unreadable", problem, "Check its permissions and the disk") from error
    if not raw.strip(b" \t\r\n\0"):
        raise Refusal("empty", "is empty", "Check that it was saved or downloaded completely")
    return raw


if __name__ == "__main__":
    main()
