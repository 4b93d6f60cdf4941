"""Identifiers that a question may name: ``corpus/identifiers.yaml`` and finding them in text.

A family says how an identifier is written, which source it belongs to, how it is printed there,
and which ones exist, so that one that does not exist can be told from one that is not digested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import CorpusError
from assistant.files import parse_yaml, read_text


@dataclass(frozen=True, slots=True)
class Family:
    """One way of naming provisions.

    pattern: regular expression, case-insensitive; its groups fill ``locator``.
    locator: format string of the locator as printed in the source, with {1}, {2} …
    source: id of the source, or "*" where the identifier stands in the texts of any.
    exists: regular expression that the whole locator of an existing provision matches, or None
        where the corpus cannot tell.
    range: what exists, in words, for the answer about one that does not.
    hint: words, one of which the question must contain (lower case); empty if none is needed.
    """

    name: str
    pattern: re.Pattern[str]
    locator: str
    source: str
    exists: re.Pattern[str] | None
    range: str
    hint: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """An identifier found in a text: as written there, and as its source prints it."""

    text: str
    start: int
    family: Family
    locator: str

    @property
    def provision_id(self) -> str:
        """The provision it would be."""
        return f"{self.family.source}#{self.locator}"

    @property
    def may_exist(self) -> bool:
        """False only where the family knows that its source has no such identifier."""
        return self.family.exists is None or bool(self.family.exists.fullmatch(self.locator))


def load_families(path: Path) -> tuple[Family, ...]:
    """Read the families, most specific first; no file means none."""
    if not path.is_file():
        return ()
    entries = parse_yaml(path, read_text(path)) or []
    try:
        if not isinstance(entries, list):
            raise TypeError("the file must be a list of families")
        return tuple(_family(entry) for entry in entries)
    except (re.error, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(path, 1, f"an identifier family cannot be read: {error!r}") from error


def _family(entry: dict[str, Any]) -> Family:
    exists = entry.get("exists")
    return Family(
        name=entry["name"],
        pattern=re.compile(entry["pattern"], re.IGNORECASE),
        locator=entry["locator"],
        source=entry["source"],
        exists=re.compile(exists) if exists else None,
        range=entry["range"],
        hint=tuple(entry.get("hint", ())),
    )


def find_mentions(text: str, families: Iterable[Family]) -> tuple[Mention, ...]:
    """Identifiers named in a text, in order; where families overlap, the earlier family wins."""
    taken: list[tuple[int, int]] = []
    found: list[Mention] = []
    lowered = text.lower()
    for family in families:
        if family.hint and not any(
            re.search(rf"\b{re.escape(word)}\b", lowered) for word in family.hint
        ):
            continue
        for match in family.pattern.finditer(text):
            if any(match.start() < stop and start < match.end() for start, stop in taken):
                continue
            taken.append(match.span())
            groups = [match[0], *(group or "" for group in match.groups())]
            found.append(Mention(match[0], match.start(), family, _print(family.locator, groups)))
    return tuple(sorted(found, key=lambda mention: mention.start))


def _print(template: str, groups: list[str]) -> str:
    """Fill {1} as written, {1:upper}, {1:lower}, {1:2} (padded); spaces in a group are dropped."""

    def fill(match: re.Match[str]) -> str:
        value, form = re.sub(r"\s+", "", groups[int(match[1])]), match[2] or ""
        if form.isdigit():
            return value.lstrip("0").zfill(int(form))
        return {"upper": value.upper(), "lower": value.lower()}.get(form, value)

    return re.sub(r"\{(\d)(?::(upper|lower|\d))?\}", fill, template)
