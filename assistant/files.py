"""Reading the corpus' own files; what is wrong with one is a CorpusError with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from assistant.errors import CorpusError

# libyaml, where PyYAML was built with it, reads ten times faster, which counts at every start.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
        mark = getattr(error, "problem_mark", None)
        line = first_line + (mark.line if mark else 0)
        problem = getattr(error, "problem", None) or str(error)
        raise CorpusError(path, line, f"not valid YAML: {problem}") from error
