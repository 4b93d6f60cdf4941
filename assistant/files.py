"""Reading the corpus' own files; what is wrong with one is a CorpusError with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from assistant.errors import CorpusError

# libyaml, where PyYAML was built with it, reads ten times faster, which counts at every start.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FLAT = 2
"""So deep is a list in a mapping."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; raises CorpusError with the line that is not UTF-8."""
    return decode(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; raises CorpusError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(path, 1, f"cannot be read: {error.strerror or error}") from error


def decode(path: Path, raw: bytes) -> str:
    """UTF-8 bytes as text; raises CorpusError with the line that is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CorpusError(path, line, "not UTF-8 text; save the file as UTF-8") from error


def parse_yaml(path: Path, text: str, first_line: int = 1) -> Any:
    """Plain data from YAML that begins at a line of a file; raises CorpusError with the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise _not_yaml(path, error, first_line) from error


def parse_flat_yaml(path: Path, text: str) -> Any:
    """The same from YAML of unknown hands, which may hold a list in a mapping and nothing deeper.

    Deep nesting ends the program and aliases fill the memory; both raise CorpusError instead.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _FLAT or isinstance(event, yaml.AliasEvent):
                mark = event.start_mark
                problem = "more than a value or a list of values after a key"
                raise CorpusError(path, mark.line + 1 if mark else 1, problem)
    except (yaml.YAMLError, ValueError) as error:
        raise _not_yaml(path, error, 1) from error
    return parse_yaml(path, text)


def _not_yaml(path: Path, error: Exception, first_line: int) -> CorpusError:
    mark = getattr(error, "problem_mark", None)
    line = first_line + (mark.line if mark else 0)
    problem = getattr(error, "problem", None) or str(error)
    return CorpusError(path, line, f"not valid YAML: {problem}")
