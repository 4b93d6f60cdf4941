"""What developers ask about and no source digests: ``corpus/elsewhere.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import CorpusError
from assistant.files import parse_yaml, read_text


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A law, standard or topic outside the corpus: its name, and how questions write it."""

    name: str
    pattern: re.Pattern[str]


def load_elsewhere(path: Path) -> tuple[Elsewhere, ...]:
    """Read the list; no file means an empty one. Raises CorpusError if it is not of the shape."""
    if not path.is_file():
        return ()
    entries = parse_yaml(path, read_text(path)) or []
    try:
        return tuple(
            Elsewhere(entry["name"], _pattern([str(word) for word in entry["written"]]))
            for entry in entries
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusError(path, 1, f"an entry needs 'name' and 'written': {error!r}") from error


def _pattern(words: list[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)


def named_elsewhere(text: str, entries: Iterable[Elsewhere]) -> tuple[str, ...]:
    """Names of the entries that a text mentions."""
    return tuple(entry.name for entry in entries if entry.pattern.search(text))
