"""What a document counts as: from the caller, else its sidecar or front matter, else by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import CorpusError, LibraryError
from assistant.files import parse_flat_yaml, read_text
from assistant.taxonomy import BINDINGS, Taxonomy

SIDECAR = ".meta.yaml"
_SIDECAR_BYTES = 64 * 2**10
INTERNAL = "internal"
"""Binds inside an organisation: more than advice, and never law."""
_BINDING_OF = {
    "policy": INTERNAL,
    "law": "binding",
    "study": "evidence",
    "incident": "evidence",
}
_KEYS = ("title", "publisher", "kind", "binding", "jurisdiction", "phase", "date", "version", "url")


@dataclass(frozen=True, slots=True)
class Metadata:
    """How a document is cited and filtered; "" where nobody said."""

    title: str
    publisher: str
    kind: str
    binding: str
    jurisdiction: str
    phases: tuple[str, ...]
    date: str
    version: str
    url: str


def kinds(taxonomy: Taxonomy) -> tuple[str, ...]:
    """The kinds that a user's document may have: the corpus' own, and "policy"."""
    return ("policy", *taxonomy.kinds)


def sidecar(path: Path) -> dict[str, str]:
    """What ``NAME.meta.yaml`` beside a file says of it; {} if there is none.

    Raises LibraryError, with the line, if it is not "key: value".
    """
    beside = path.with_name(path.name + SIDECAR)
    if not beside.is_file():
        return {}
    try:
        if beside.stat().st_size > _SIDECAR_BYTES:
            raise CorpusError(beside, 1, f"larger than {_SIDECAR_BYTES // 2**10} KiB")
        loaded = parse_flat_yaml(beside, read_text(beside))
        if not isinstance(loaded, dict):
            raise CorpusError(beside, 1, "not 'key: value' lines")
    except CorpusError as error:
        raise LibraryError(
            f"{beside.name} cannot be used (line {error.line}: {error.problem}). "
            "Write lines such as 'kind: standard', or remove it."
        ) from error
    return {str(key): _text(value) for key, value in loaded.items() if value is not None}


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def describe(
    given: Mapping[str, str], stated: Mapping[str, str], title: str, taxonomy: Taxonomy
) -> Metadata:
    """The metadata of a document; ``given`` by the caller wins over ``stated`` by its files.

    Raises LibraryError, naming the known values, for an unknown kind, binding or phase.
    """
    stated = {key: value for key, value in stated.items() if key in _KEYS}
    values = {"title": title, **stated, **given}
    kind = values.get("kind", "policy")
    binding = values.get("binding", _BINDING_OF.get(kind, "voluntary"))
    phases = tuple(filter(None, (part.strip() for part in values.get("phase", "").split(","))))
    _require("kind", (kind,), kinds(taxonomy))
    _require("binding", (binding,), (INTERNAL, *BINDINGS))
    _require("phase", phases, tuple(taxonomy.phases))
    return Metadata(
        title=values["title"],
        publisher=values.get("publisher", ""),
        kind=kind,
        binding=binding,
        jurisdiction=values.get("jurisdiction", "own organisation"),
        phases=phases,
        date=values.get("date", ""),
        version=values.get("version", ""),
        url=values.get("url", ""),
    )


def _require(name: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for value in values:
        if value not in allowed:
            raise LibraryError(f"Unknown {name} '{value[:80]}'. Known: {', '.join(allowed)}.")
