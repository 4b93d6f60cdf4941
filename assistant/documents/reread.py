"""Reading a source's file again, so that a quote is compared with what the file says now."""

from __future__ import annotations

import hashlib
from pathlib import Path


class Rereader:
    """Source id -> (text, sha256) of its file as it is on the disk; safe to use from several threads.

    A file is read when it is first asked for, and again whenever its size or time of change differ.
    A file that is gone or no longer UTF-8 gives ("", "unreadable"), which bears no quote.
    """

    def __init__(self, corpus: Path) -> None:
        self._folder = corpus / "sources"
        self._known: dict[str, tuple[tuple[int, int], tuple[str, str]]] = {}

    def __call__(self, source_id: str) -> tuple[str, str]:
        path = self._folder / f"{source_id}.md"
        try:
            status = path.stat()
            stamp = status.st_size, status.st_mtime_ns
            known = self._known.get(source_id)
            if known is None or known[0] != stamp:
                raw = path.read_bytes()
                known = stamp, (raw.decode("utf-8"), hashlib.sha256(raw).hexdigest())
                self._known[source_id] = known
            return known[1]
        except (OSError, UnicodeDecodeError):
            return "", "unreadable"
