"""CSV, JSON and YAML: every record a block with its field names, under its title."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assistant.documents.formats.decoding import decode
from assistant.documents.formats.draft import Draft, Refusal
from assistant.errors import CorpusError
from assistant.files import parse_yaml

_TITLES = ("title", "name", "heading", "headline", "subject", "label", "id")
_LONG_CHARS = 60
"""Entries of a list that are longer than this are parted by lines, not by commas."""
_TEXT_WORDS = 12
"""From so many words on a field is text: a paragraph, that its sentences stand apart from the fields."""
_BODIES = ("text", "body", "content", "description")
_SAVE = "Correct it, or save it anew from the program that made it"


def convert(raw: bytes, media: str, draft: Draft) -> None:
    """Add the records of a CSV, JSON, JSON Lines or YAML file to the draft."""
    text, draft.metadata["encoding"] = decode(raw)
    load = {"csv": _csv, "json": _json, "yaml": _yaml}[media]
    data = load(text)
    if isinstance(data, dict):
        draft.title = _title(data)
    _add(data, 1, draft)


def _csv(text: str) -> list[dict[str, str]]:
    csv.field_size_limit(len(text) + 1)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:20_000], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), dialect=dialect))
    except csv.Error as error:
        raise Refusal("damaged", f"is not valid CSV ({error})", _SAVE) from error
    return [{str(key or "more"): str(value or "") for key, value in row.items()} for row in rows]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [json.loads(line) for line in lines] if len(lines) > 1 else _fail(error)
        except json.JSONDecodeError:
            return _fail(error)


def _fail(error: json.JSONDecodeError) -> Any:
    problem = f"is not valid JSON (line {error.lineno}: {error.msg})"
    raise Refusal("damaged", problem, _SAVE) from error


def _yaml(text: str) -> Any:
    try:
        return parse_yaml(Path("YAML"), text)
    except CorpusError as error:
        raise Refusal("damaged", f"is {error.problem} (line {error.line})", _SAVE) from error


def _add(value: Any, level: int, draft: Draft) -> None:
    """Add a record, or a list of them: its title, its fields, then the records within it."""
    if not isinstance(value, dict):
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict):
                _add(entry, level, draft)
            else:
                draft.add("paragraph", "\n".join(_lines("", entry)))
        return
    title = _title(value)
    draft.add("heading", title, level=min(level, 6))
    inner = {key: entry for key, entry in value.items() if _records(entry)}
    fields: list[str] = []
    for key, entry in value.items():
        if key not in inner and not (title and str(entry) == title):
            named = "" if key in _BODIES and isinstance(entry, str) else key
            for line in _lines(named, entry):
                if len(line.split()) < _TEXT_WORDS:
                    fields.append(line)
                    continue
                draft.add("paragraph", "\n".join(fields))
                draft.add("paragraph", line)
                fields = []
    draft.add("paragraph", "\n".join(fields))
    for key, entry in inner.items():
        below = level + 1
        draft.add("heading", str(key), level=min(below, 6))
        _add(entry, below + 1, draft)


def _title(record: dict[Any, Any]) -> str:
    """The value of the first field that is named as a title is; "" if there is none."""
    named = {str(key).lower(): value for key, value in record.items()}
    for name in _TITLES:
        value = named.get(name)
        if isinstance(value, str | int) and str(value).strip() and len(str(value)) <= 300:
            return " ".join(str(value).split())
    return ""


def _records(value: Any) -> bool:
    """Whether a value holds records that have titles of their own."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, dict) and _title(entry) for entry in value)
    )


def _lines(name: str, value: Any) -> Iterator[str]:
    """A value as lines of ``field: value``, inner fields named by their path."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _lines(f"{name} {key}".strip(), entry)
    elif isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        for entry in value:
            yield from _lines(name, entry)
    elif isinstance(value, list):
        parts = [str(entry) for entry in value]
        if parts:
            gap = "\n" if max(map(len, parts)) > _LONG_CHARS else ", "
            yield f"{name}: {gap.join(parts)}"
    elif value not in (None, ""):
        yield f"{name}: {value}" if name else str(value)
