"""Corpus files (``corpus/sources/*.md``) become Documents.

The format is described for authors in corpus/README.md. Front matter is YAML; each ``##`` heading
opens a provision, ``- key: value`` lines follow it, then a blank line, then the text, one sentence
a line. The parser is strict: whatever it does not know is an error with file and line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from assistant.documents.asked import load_asked
from assistant.documents.code_signs import CodeSigns, load_code_signs
from assistant.documents.crosswalk import Link, load_links
from assistant.documents.elsewhere import Elsewhere, load_elsewhere
from assistant.documents.identifiers import Family, load_families
from assistant.documents.uncovered import load_uncovered
from assistant.errors import CorpusError
from assistant.files import decode, parse_yaml, read_bytes
from assistant.taxonomy import BINDINGS, Taxonomy, load_taxonomy
from assistant.types import Document, Provision, Segment, SegmentKind, Source

_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")
_FIELD = re.compile(r"- ([a-z-]+):\s*(.*\S)\s*$")
_MANY = {"phases", "concerns", "roles", "tests"}
_REPEATED = {"asks", "read"}
_ONE = {"url", "in-force-from", "status"}
_REQUIRED = ("phases", "concerns", "roles", "asks")
_OPTIONAL_FRONT = {"in_force_from", "snapshot"}
_LABELS: dict[str, SegmentKind] = {"Why:": "why", "Note:": "note"}


@dataclass(frozen=True)
class Corpus:
    """Everything the assistant knows, as parsed; the order of provisions is that of the files.

    asked: by provision id, questions that it answers beside its ``asks``; searched, never shown.
    uncovered: questions that no provision answers.
    """

    folder: Path
    documents: tuple[Document, ...]
    taxonomy: Taxonomy
    identifiers: tuple[Family, ...]
    links: tuple[Link, ...]
    elsewhere: tuple[Elsewhere, ...]
    asked: Mapping[str, tuple[str, ...]]
    uncovered: tuple[str, ...]
    sha256: str

    @cached_property
    def provisions(self) -> tuple[Provision, ...]:
        """All provisions; a provision's place here is its number in the lexical index."""
        return tuple(entry for document in self.documents for entry in document.provisions)

    @cached_property
    def by_id(self) -> dict[str, Provision]:
        """Provisions by ``source-id#locator``."""
        return {provision.id: provision for provision in self.provisions}

    @cached_property
    def by_source(self) -> dict[str, Document]:
        """Documents by source id."""
        return {document.source.id: document for document in self.documents}

    @cached_property
    def related(self) -> dict[str, tuple[Link, ...]]:
        """Crosswalk links by either end, turned so that ``subject`` is the key, closest first."""
        found: dict[str, list[Link]] = {}
        for link in self.links:
            found.setdefault(link.subject, []).append(link)
            found.setdefault(link.object, []).append(link.turned())
        return {key: tuple(sorted(links, key=Link.distance)) for key, links in found.items()}

    @cached_property
    def code_signs(self) -> CodeSigns:
        """What code can show, read when code is first asked about; raises CorpusError."""
        return load_code_signs(self.folder / "code_signs.yaml", self.taxonomy)

    @property
    def version(self) -> str:
        """The newest date of comparison with the sources, and the first digits of the hash."""
        newest = max((document.source.compared for document in self.documents), default="empty")
        return f"{newest}-{self.sha256[:8]}"


def load_corpus(folder: Path) -> Corpus:
    """Parse a corpus folder: taxonomy, identifiers, crosswalk, elsewhere, asked, uncovered, sources.

    Raises CorpusError for the first file that is absent or breaks the format.
    """
    taxonomy_path = folder / "taxonomy.yaml"
    if not taxonomy_path.is_file():
        raise CorpusError(
            taxonomy_path, 1, "the corpus has no taxonomy.yaml; check the setting 'corpus'"
        )
    taxonomy = load_taxonomy(taxonomy_path)
    paths = sorted((folder / "sources").glob("*.md"))
    if not paths:
        raise CorpusError(folder / "sources", 1, "the corpus has no source files (*.md)")
    documents = tuple(parse_document(path, taxonomy) for path in paths)
    digest = hashlib.sha256()
    for name in (
        "taxonomy.yaml",
        "identifiers.yaml",
        "crosswalk.tsv",
        "elsewhere.yaml",
        "asked.tsv",
        "uncovered.txt",
    ):
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
        digest.update(b"\0")
    for document in documents:
        digest.update(f"{document.source.id}:{document.sha256}\n".encode())
    known = {provision.id for document in documents for provision in document.provisions}
    return Corpus(
        folder=folder,
        documents=documents,
        taxonomy=taxonomy,
        identifiers=load_families(folder / "identifiers.yaml"),
        links=load_links(folder / "crosswalk.tsv", known),
        elsewhere=load_elsewhere(folder / "elsewhere.yaml"),
        asked=load_asked(folder / "asked.tsv", known),
        uncovered=load_uncovered(folder / "uncovered.txt"),
        sha256=digest.hexdigest(),
    )


def parse_document(path: Path, taxonomy: Taxonomy) -> Document:
    """Parse one corpus file; raises CorpusError with the line of the first problem."""
    raw = read_bytes(path)
    text = decode(path, raw)
    return _Parser(path, text, taxonomy).document(hashlib.sha256(raw).hexdigest())


class _Parser:
    """State of parsing one file: its lines with their offsets."""

    def __init__(self, path: Path, text: str, taxonomy: Taxonomy) -> None:
        self.path, self.text, self.taxonomy = path, text, taxonomy
        self.lines: list[tuple[int, str]] = []
        offset = 0
        for line in text.splitlines(keepends=True):
            self.lines.append((offset, line.rstrip("\r\n")))
            offset += len(line)

    def fail(self, index: int, problem: str) -> NoReturn:
        raise CorpusError(self.path, index + 1, problem)

    def document(self, sha256: str) -> Document:
        body = self._front_matter_end()
        source = self._source(body)
        starts = [
            index
            for index in range(body, len(self.lines))
            if re.match(r"#+\s|#+$", self.lines[index][1])
        ]
        if not starts:
            self.fail(len(self.lines) - 1, "no provision: add a '## LOCATOR | Title' heading")
        for index in range(body, starts[0]):
            if self.lines[index][1].strip():
                self.fail(index, "text before the first '##' heading; move it into a provision")
        provisions: dict[str, Provision] = {}
        for index, stop in zip(starts, [*starts[1:], len(self.lines)], strict=True):
            provision = self._provision(source, index, stop)
            if provision.locator in provisions:
                self.fail(index, f"the locator '{provision.locator}' is used twice in this file")
            provisions[provision.locator] = provision
        return Document(source, self.text, sha256, tuple(provisions.values()))

    def _front_matter_end(self) -> int:
        if not self.lines or self.lines[0][1] != "---":
            raise CorpusError(self.path, 1, "the file must begin with '---' and the front matter")
        for index in range(1, len(self.lines)):
            if self.lines[index][1] == "---":
                return index + 1
        self.fail(0, "the front matter is not closed by a second '---'")

    def _source(self, body: int) -> Source:
        block = "\n".join(line for _, line in self.lines[1 : body - 1])
        loaded = parse_yaml(self.path, block, first_line=2)
        if not isinstance(loaded, dict):
            self.fail(0, "the front matter must be 'key: value' lines")
        data = {key: None if value is None else str(value) for key, value in loaded.items()}
        names = {entry.name for entry in fields(Source)}
        for key in data:
            if key not in names:
                self.fail(self._front_line(key), f"unknown front-matter key '{key}'")
        for name in sorted(names - _OPTIONAL_FRONT):
            if not data.get(name):
                self.fail(0, f"the front matter lacks '{name}'")
        allowed: dict[str, tuple[str, ...]] = {
            "kind": tuple(self.taxonomy.kinds),
            "binding": BINDINGS,
        }
        for name, choices in allowed.items():
            if data[name] not in choices:
                problem = f"{name} '{data[name]}' is not one of {', '.join(choices)}"
                self.fail(self._front_line(name), problem)
        if not _ID.fullmatch(data["id"] or "") or data["id"] != self.path.stem:
            self.fail(self._front_line("id"), "id must equal the file name without '.md'")
        for name in ("published", "compared", "in_force_from"):
            if data.get(name) and not _DATE.fullmatch(data[name] or ""):
                self.fail(self._front_line(name), f"{name} must be YYYY, YYYY-MM or YYYY-MM-DD")
        return Source(**{name: data.get(name) for name in names})  # type: ignore[arg-type]

    def _front_line(self, key: str) -> int:
        for index, (_, line) in enumerate(self.lines):
            if line.startswith(f"{key}:"):
                return index
        return 0

    def _provision(self, source: Source, index: int, stop: int) -> Provision:
        start, heading = self.lines[index]
        match = re.fullmatch(r"## (\S.*?) \| (\S.*)", heading)
        if not match:
            self.fail(index, f"a heading must read '## LOCATOR | Title', not '{heading}'")
        locator, title = match.groups()
        cursor = index + 1
        values: dict[str, list[str]] = {}
        while cursor < stop and (line := self.lines[cursor][1]).startswith("- "):
            entry = _FIELD.match(line)
            if not entry or entry[1] not in _MANY | _REPEATED | _ONE:
                known = ", ".join(sorted(_MANY | _REPEATED | _ONE))
                self.fail(cursor, f"expected '- key: value' with a key of {known}")
            key, value = entry.groups()
            if key in values and key not in _REPEATED:
                self.fail(cursor, f"'{key}' is given twice")
            parts = [part.strip() for part in value.split(",")] if key in _MANY else [value]
            values.setdefault(key, []).extend(parts)
            self._check_terms(cursor, key, parts)
            cursor += 1
        for key in _REQUIRED:
            if key not in values:
                self.fail(index, f"'{locator}' lacks '- {key}: …'")
        if cursor < stop and self.lines[cursor][1].strip():
            self.fail(cursor, "a blank line must follow the '- key: value' lines")
        segments = tuple(self._segments(cursor, stop))
        if not segments or segments[0].kind != "statement":
            self.fail(
                index, f"'{locator}' must begin with a sentence that says what it asks or found"
            )

        def one(key: str) -> str | None:
            return values[key][0] if key in values else None

        return Provision(
            source_id=source.id,
            locator=locator,
            title=title,
            url=one("url") or source.url,
            phases=tuple(values["phases"]),
            concerns=tuple(values["concerns"]),
            roles=tuple(values["roles"]),
            asks=tuple(values["asks"]),
            tests=tuple(values.get("tests", ())),
            read=tuple(values.get("read", ())),
            in_force_from=one("in-force-from") or source.in_force_from,
            status=one("status") or source.status,
            line=index + 1,
            start=start,
            stop=segments[-1].stop,
            segments=segments,
        )

    def _check_terms(self, index: int, key: str, parts: list[str]) -> None:
        vocabulary: dict[str, Collection[str]] = {
            "phases": self.taxonomy.phases,
            "concerns": self.taxonomy.concerns,
            "roles": self.taxonomy.roles,
        }
        terms = vocabulary.get(key)
        for part in parts:
            if terms is not None and part not in terms:
                self.fail(index, f"'{part}' is not one of the {key}: {', '.join(terms)}")
        if key == "asks" and not parts[0].endswith("?"):
            self.fail(index, "an 'asks' entry must be a question ending in '?'")
        if key == "in-force-from" and not _DATE.fullmatch(parts[0]):
            self.fail(index, "in-force-from must be YYYY, YYYY-MM or YYYY-MM-DD")

    def _segments(self, cursor: int, stop: int) -> list[Segment]:
        segments: list[Segment] = []
        mode: SegmentKind = "statement"
        for index in range(cursor, stop):
            offset, line = self.lines[index]
            stripped = line.strip()
            if not stripped:
                continue
            if line != line.rstrip() or line != line.lstrip():
                self.fail(index, "no spaces at the beginning or end of a line of text")
            if line == "Do:":
                mode = "do"
                continue
            label = next((name for name in _LABELS if line.startswith(name + " ")), None)
            if label:
                mode = _LABELS[label]
                offset += len(label) + 1
                line = line[len(label) + 1 :]
            elif line.startswith("- "):
                if mode != "do":
                    self.fail(index, "a list item belongs under a line that reads 'Do:'")
                offset += 2
                line = line[2:]
            elif mode == "do":
                self.fail(index, "under 'Do:' every line is '- …'; 'Why:' or 'Note:' end the list")
            segments.append(Segment(mode, offset, offset + len(line)))
        return segments
