"""The vocabulary of phases, concerns, roles and kinds, read from ``corpus/taxonomy.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import CorpusError
from assistant.files import parse_yaml, read_text

BINDINGS = ("binding", "voluntary", "evidence")


@dataclass(frozen=True, slots=True)
class Term:
    """A phase or a concern; ``synonyms`` are lower-case words that developers use for it."""

    id: str
    title: str
    definition: str
    synonyms: tuple[str, ...]
    mappings: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Ordered phases and concerns, and the allowed roles and kinds with their definitions."""

    phases: dict[str, Term]
    concerns: dict[str, Term]
    roles: dict[str, str]
    kinds: dict[str, str]


def load_taxonomy(path: Path) -> Taxonomy:
    """Read the taxonomy file; raises CorpusError if it is not of the expected shape."""
    data = parse_yaml(path, read_text(path))
    try:
        return Taxonomy(
            phases={key: _term(key, entry) for key, entry in data["phases"].items()},
            concerns={key: _term(key, entry) for key, entry in data["concerns"].items()},
            roles=dict(data["roles"]),
            kinds=dict(data["kinds"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorpusError(path, 1, f"the taxonomy lacks a part: {error}") from error


def _term(key: str, entry: dict[str, Any]) -> Term:
    known = {"title", "definition", "synonyms"}
    mappings = tuple((name, tuple(values)) for name, values in entry.items() if name not in known)
    if not isinstance(entry["synonyms"], list):
        raise TypeError(f"the synonyms of '{key}' must be a list")
    synonyms = tuple(str(word).lower() for word in entry["synonyms"])
    return Term(key, entry["title"], entry["definition"], synonyms, mappings)
