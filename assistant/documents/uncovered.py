"""Questions that no provision answers, near the subject and far from it: ``corpus/uncovered.txt``.

One a line. What is asked is compared with them, so that a question much like one of them is refused
sooner. Take a line away when a source that answers it is added.
"""

from __future__ import annotations

from pathlib import Path

from assistant.files import read_text


def load_uncovered(path: Path) -> tuple[str, ...]:
    """The questions, each once; no file means none. Raises CorpusError if it is not UTF-8."""
    if not path.is_file():
        return ()
    lines = (line.strip() for line in read_text(path).splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
