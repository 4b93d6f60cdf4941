"""What code can show that the sources speak about: ``corpus/code_signs.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from assistant.errors import CorpusError
from assistant.files import parse_yaml, read_text
from assistant.taxonomy import Taxonomy

GROUPS = ("any", "raw", "python", "javascript", "java", "csharp", "go", "config")
"""Groups of languages that a pattern may be for; ``raw`` is any, with comments and strings."""
_REQUIRED = {"id", "what", "concerns", "phases", "ask"}
_ONE_CHARACTER = re.compile(r"\\.|\[[^\]]*\]")
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}|\)\{")


@dataclass(frozen=True, slots=True)
class CodeSign:
    """Something that code can show: the closed vocabulary of what is said to be seen in it.

    what: in words, as the answer says it. concerns, phases: of the taxonomy, the most fitting first.
    ask: the question that a developer who wrote such code should ask; it steers retrieval.
    written: patterns by group of languages. packages: names in a manifest, lower case, with hyphens.
    with_model: whether it counts only beside signs of a language model. unpinned: whether it is seen
    where a package of any sign has no exact version.
    """

    id: str
    what: str
    concerns: tuple[str, ...]
    phases: tuple[str, ...]
    ask: str
    written: Mapping[str, tuple[re.Pattern[str], ...]]
    packages: frozenset[str] = frozenset()
    with_model: bool = False
    unpinned: bool = False


@dataclass(frozen=True, slots=True)
class CodeSigns:
    """The vocabulary, the most telling signs first, and what shows that a model is at work."""

    signs: tuple[CodeSign, ...] = ()
    models: tuple[re.Pattern[str], ...] = ()


def load_code_signs(path: Path, taxonomy: Taxonomy) -> CodeSigns:
    """Read the vocabulary; no file means an empty one.

    Raises CorpusError with the line of the entry that breaks the form.
    """
    if not path.is_file():
        return CodeSigns()
    text = read_text(path)
    data = parse_yaml(path, text)
    lines = [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if re.match(r"\s*- id:", line)
    ]
    if not isinstance(data, dict) or data.keys() != {"models", "signs"}:
        raise CorpusError(path, 1, "the file must have 'models' and 'signs', and nothing else")
    try:
        models = _patterns(data["models"])
    except ValueError as error:
        raise CorpusError(path, 1, f"models: {error}") from error
    signs: dict[str, CodeSign] = {}
    for place, entry in enumerate(data["signs"] or ()):
        line = lines[place] if place < len(lines) else 1
        try:
            sign = _sign(entry, taxonomy)
        except ValueError as error:
            raise CorpusError(path, line, str(error)) from error
        if sign.id in signs:
            raise CorpusError(path, line, f"the sign '{sign.id}' is given twice")
        signs[sign.id] = sign
    return CodeSigns(tuple(signs.values()), models)


def _sign(entry: Any, taxonomy: Taxonomy) -> CodeSign:
    """One entry; raises ValueError saying what is wrong."""
    known = {field.name for field in fields(CodeSign)}
    if not isinstance(entry, dict) or not _REQUIRED <= entry.keys() <= known:
        raise ValueError(f"a sign has {', '.join(sorted(_REQUIRED))}, and of {', '.join(known)}")
    for key, terms in (("concerns", taxonomy.concerns), ("phases", taxonomy.phases)):
        wrong = [term for term in _texts(entry[key]) if term not in terms]
        if wrong or not entry[key]:
            raise ValueError(f"{key} must be of {', '.join(terms)}")
    written = entry.get("written") or {}
    if not isinstance(written, dict) or not written.keys() <= set(GROUPS):
        raise ValueError(f"written must be patterns by {', '.join(GROUPS)}")
    packages = _texts(entry.get("packages") or [])
    if not written and not packages:
        raise ValueError("a sign needs 'written' or 'packages'")
    return CodeSign(
        id=str(entry["id"]),
        what=str(entry["what"]),
        concerns=_texts(entry["concerns"]),
        phases=_texts(entry["phases"]),
        ask=str(entry["ask"]),
        written={group: _patterns(patterns) for group, patterns in written.items()},
        packages=frozenset(name.lower().replace("_", "-") for name in packages),
        with_model=bool(entry.get("with_model")),
        unpinned=bool(entry.get("unpinned")),
    )


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"expected a list of texts, not {str(value)[:60]!r}")
    return tuple(value)


def _patterns(value: Any) -> tuple[re.Pattern[str], ...]:
    """Compiled patterns; refused are open repeats and repeated groups, which can take more than
    linear time."""
    compiled = []
    for text in _texts(value):
        if _UNBOUNDED.search(_ONE_CHARACTER.sub("x", text)):
            raise ValueError(
                f"'{text}' repeats without a bound, or repeats a group; write \\w{{0,60}}"
            )
        try:
            compiled.append(re.compile(text, re.MULTILINE))
        except re.error as error:
            raise ValueError(f"'{text}' is not a regular expression: {error}") from error
    return tuple(compiled)
