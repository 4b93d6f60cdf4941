"""Compare the corpus with the sources it digests: ``python -m evals corpus``.

Without the folder of source snapshots the checks that need it count as *unchecked*; the rest run
anywhere. A provision names what it was written from in its ``read`` lines, ``FILE § ANCHOR``:

* a PDF: the anchor is ``p. 12`` or ``pp. 12-14``, pages counted from 1;
* a heading of a Markdown or reStructuredText file: the section is that heading's, up to the next
  heading of the same or a higher level;
* otherwise the first line that holds the anchor, and its record: the table row, CSV record, YAML
  entry (by indentation) or paragraph;
* no anchor: the whole file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from assistant.types import Document, Provision

RUN_WORDS = 9
MAX_SENTENCE_WORDS = 45
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NUMBER = re.compile(r"(?<![\w.-])\d+(?:[.,]\d+)*(?![\w-])")
_IDENTIFIER = re.compile(
    r"\b(?:AML\.[A-Z]{1,2}\d+(?:\.\d+)?|LLM\d\d(?::\d{4})?|ML\d\d:\d{4}|ASI\d\d|AITG-[A-Z]+-\d+"
    r"|CVE-\d{4}-\d+|CWE-\d+|AVID-\d{4}-\w+|[A-Z]{2}-\d\.\d-\d{3})\b"
)
_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_UNITS)} | {
    "fifteen": "15", "twenty": "20", "thirty": "30", "hundred": "100",
}  # fmt: skip
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_OBLIGATION = {
    "strong": re.compile(r"\b(shall|must|required?|requires|mandatory|prohibit\w*|need(?:s|ed)? to|"
                         r"ha(?:s|ve) to|oblig\w+|never|not permitted|necessary|ensure[sd]?|only)\b", re.I),
    "medium": re.compile(r"\b(should|recommend\w*|advis\w+|encourage\w*|ought|consider|suggest\w*|"
                         r"best practice|shall|must|required?)\b", re.I),
}  # fmt: skip
_CLAIMS = {
    "strong": re.compile(r"\b(shall|must|mandatory|prohibited|obliged)\b", re.I),
    "medium": re.compile(r"\b(should|recommended)\b", re.I),
}
_DANGLING = re.compile(r"(This|It|They|These|Those|Such|He|She|Its|Their|That|Here)\b")
_MARKUP = re.compile(r"<[a-zA-Z/!][^>]*>|!\[|\]\(|[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


@dataclass
class Report:
    """Counts and findings of one run over a corpus."""

    checked: dict[str, int] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def count(self, name: str) -> None:
        """One more comparison of this name was made."""
        self.checked[name] = self.checked.get(name, 0) + 1

    def fail(self, place: str, problem: str) -> None:
        """Record a finding at ``file:line``."""
        self.failures.append(f"{place}: {problem}")


@dataclass(frozen=True)
class Allowed:
    """A finding that was looked at and is right: computed values, names of things."""

    provision_id: str
    text: str
    reason: str


def read_allowed(path: Path) -> tuple[Allowed, ...]:
    """Read the allow-list, tab separated: provision id, text, reason."""
    if not path.exists():
        return ()
    rows = csv.reader(
        path.read_text(encoding="utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE
    )
    return tuple(Allowed(*row) for row in rows if row and not row[0].startswith("#"))


def check_corpus(
    documents: tuple[Document, ...],
    folder: Path,
    snapshots: Path | None,
    allowed: tuple[Allowed, ...] = (),
) -> Report:
    """Check every provision; ``snapshots`` is the folder of source snapshots or None."""
    report = Report()
    permitted: dict[str, set[str]] = {}
    for entry in allowed:
        permitted.setdefault(entry.provision_id, set()).add(entry.text.casefold())
    for document in documents:
        seen: dict[str, str] = {}
        for provision in document.provisions:
            place = f"{folder / (document.source.id + '.md')}:{provision.line}"
            _check_form(report, place, document, provision, seen)
            _check_url(report, place, document, provision)
            _check_against_source(
                report, place, document, provision, snapshots, permitted.get(provision.id, set())
            )
    return report


def _check_form(
    report: Report, place: str, document: Document, provision: Provision, seen: dict[str, str]
) -> None:
    report.count("form")
    statements = [segment for segment in provision.segments if segment.kind == "statement"]
    if len(statements) > 4:
        report.fail(place, f"{len(statements)} statement sentences; at most 4")
    for segment in provision.segments:
        text = document.quote(segment)
        words = len(text.split())
        if not 4 <= words <= MAX_SENTENCE_WORDS and not (segment.kind == "do" and words >= 3):
            report.fail(place, f"{words} words in one sentence (4 to {MAX_SENTENCE_WORDS}): {text}")
        if _DANGLING.match(text):
            report.fail(
                place, f"a sentence must stand alone, not begin with '{text.split()[0]}': {text}"
            )
        if _MARKUP.search(text):
            report.fail(place, f"markup or an invisible character in: {text}")
        if not text.endswith((".", "?", "!")):
            report.fail(place, f"no full stop at the end of: {text}")
        if re.search(
            r"[a-z)`]\. [A-Z]",
            re.sub(r"\b(e\.g|i\.e|No|Art|Inc|vs|Reg|etc|Dr|Mr|U\.S|Corp|Ltd|Co|St)\.", "", text),
        ):
            report.fail(place, f"one sentence a line: {text}")
    body = " ".join(document.quote(segment) for segment in provision.segments).casefold()
    if body in seen:
        report.fail(place, f"says the same as {seen[body]}")
    seen[body] = provision.locator


def _check_url(report: Report, place: str, document: Document, provision: Provision) -> None:
    report.count("url")
    parts = urlsplit(provision.url)
    if parts.scheme != "https" or not parts.netloc or " " in provision.url:
        report.fail(place, f"not a well-formed https address: {provision.url}")
    own = ".".join(urlsplit(document.source.url).netloc.split(".")[-2:])
    if ".".join(parts.netloc.split(".")[-2:]) != own:
        report.fail(place, f"{provision.url} is not on the publisher's site {own}")


def _check_against_source(
    report: Report,
    place: str,
    document: Document,
    provision: Provision,
    snapshots: Path | None,
    permitted: set[str],
) -> None:
    if snapshots is None or document.source.snapshot is None or not provision.read:
        report.unchecked.append(provision.id)
        return
    base = snapshots / document.source.snapshot
    sections: list[str] = []
    whole: list[str] = []
    for entry in provision.read:
        name, _, anchor = entry.partition(" § ")
        path = base / name
        if not path.is_file():
            report.fail(place, f"read: no file {path}")
            return
        found = section(path, anchor)
        if found is None:
            report.fail(place, f"read: '{anchor}' is not in {name}")
            return
        sections.append(found)
        whole.append(file_text(path))
    text, full = "\n".join(sections), "\n".join(whole)
    report.count("locator")
    where = text if re.match(r"(Art\.|Annex|Recital) ", provision.locator) else full
    if not locator_found(provision.locator, where + "\n" + " ".join(provision.read)):
        report.fail(place, f"the locator '{provision.locator}' is not in the source as printed")
    body = [document.quote(segment) for segment in provision.segments]
    report.count("copied runs")
    for run in copied_runs(body, whole):
        if not any(run in permit for permit in permitted):
            report.fail(place, f"{RUN_WORDS} or more words as in the source: {run}")
    report.count("values")
    for value in missing_values(" ".join(body), f"{text} {provision.locator} {provision.title}"):
        if value.casefold() not in permitted:
            report.fail(place, f"'{value}' is not in the section that it cites")


@cache
def file_text(path: Path) -> str:
    """The text of a snapshot's file; a PDF's pages are joined by form feeds."""
    if path.suffix == ".pdf":
        from pypdf import PdfReader

        return "\f".join(page.extract_text() for page in PdfReader(path).pages)
    return path.read_text(encoding="utf-8", errors="replace")


def section(path: Path, anchor: str) -> str | None:
    """The part of a file that an anchor names (see the module's docstring), or None."""
    text = file_text(path)
    anchor = anchor.strip()
    if not anchor:
        return text
    if path.suffix == ".pdf":
        pages = re.fullmatch(r"pp?\. (\d+)(?:-(\d+))?", anchor)
        if not pages:
            return None
        first, last = int(pages[1]), int(pages[2] or pages[1])
        every = text.split("\f")
        return "\n".join(every[first - 1 : last]) if 1 <= first <= last <= len(every) else None
    if path.suffix == ".csv":
        for row in csv.reader(io.StringIO(text)):
            if any(cell.strip() == anchor for cell in row):
                return "\n".join(row)
        for row in csv.reader(io.StringIO(text)):
            if any(anchor in cell for cell in row):
                return "\n".join(row)
        return None
    lines = _without_fences(text.splitlines())
    hits = [number for number, line in enumerate(lines) if anchor in " ".join(line.split())]
    if not hits:
        return None
    headings = [number for number in hits if _level(lines, number)]
    if path.suffix in {".yaml", ".yml"}:
        exact = [
            n for n in hits if re.search(rf"id: ['\"]?{re.escape(anchor)}['\"]?\s*$", lines[n])
        ]
        return _indented(lines, (exact or hits)[0])
    if headings:
        start = headings[0]
        level = _level(lines, start)
        stop = start + 1
        while stop < len(lines) and not 0 < _level(lines, stop) <= level:
            stop += 1
        return "\n".join(lines[start:stop])
    start = hits[0]
    if lines[start].lstrip().startswith("|"):
        return lines[start]
    stop = start
    while start and lines[start - 1].strip():
        start -= 1
    while stop < len(lines) and lines[stop].strip():
        stop += 1
    return "\n".join(lines[start:stop])


def _without_fences(lines: list[str]) -> list[str]:
    """The lines with those of fenced code indented, so that a comment there is no heading."""
    fenced = False
    found = []
    for line in lines:
        if line.lstrip().startswith("```"):
            fenced = not fenced
        found.append("    " + line if fenced else line)
    return found


def _level(lines: list[str], number: int) -> int:
    """The heading level of a line, 0 if it is none; reStructuredText underlines count as 1 to 4."""
    match = re.match(r"(#{1,6})\s", lines[number])
    if match:
        return len(match[1])
    if number + 1 < len(lines) and lines[number].strip():
        under = re.fullmatch(r"([=\-~^\"'])\1{2,}\s*", lines[number + 1])
        if under and len(lines[number + 1].strip()) >= len(lines[number].strip()):
            return "=-~^\"'".index(under[1]) + 1
    return 0


def _indented(lines: list[str], hit: int) -> str:
    """The YAML list entry that a line belongs to."""
    start = hit
    while start and not re.match(r"\s*- ", lines[start]):
        start -= 1
    indent = len(lines[start]) - len(lines[start].lstrip())
    stop = max(start, hit) + 1
    while stop < len(lines):
        line = lines[stop]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        stop += 1
    return "\n".join(lines[start:stop])


def locator_found(locator: str, text: str) -> bool:
    """Whether the source prints this locator: as it stands, or as its article, annex or recital."""
    locator = locator.replace("_", " ")
    squeezed = " ".join(text.replace("_", " ").split())
    if re.search(rf"(?<!\w){re.escape(locator)}(?!\w)", squeezed, re.IGNORECASE):
        return True
    incident = re.fullmatch(r"Incident (\d+)", locator)
    if incident and re.search(rf"\b{incident[1]}\b", text):
        return True
    law = re.fullmatch(r"(Art\.|Annex|Recital) (\w+)((?:\(\w+\))*)(?:, point \w+)?", locator)
    if law:
        name = {"Art.": f"Article {law[2]} ", "Annex": f"ANNEX {law[2]} "}.get(
            law[1], f"Recital ({law[2]}) "
        )
        if name not in squeezed:
            return False
        return all(
            re.search(rf"(?m)^\s*(?:\({part}\)|{part}\.)", text)
            for part in re.findall(r"\((\w+)\)", law[3])
        )
    parts = [part for part in re.split(r"\s+[–—›-]\s+|\s*·\s*", locator) if part]
    return len(parts) > 1 and all(part.casefold() in squeezed.casefold() for part in parts)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return _WORD.findall(text.casefold())


def copied_runs(body: list[str], sources: list[str]) -> Iterator[str]:
    """Runs of RUN_WORDS equal words shared by a sentence and a source."""
    grams: set[tuple[str, ...]] = set()
    for text in sources:
        grams |= _grams(text)
    for sentence in body:
        tokens = words(sentence)
        for index in range(len(tokens) - RUN_WORDS + 1):
            gram = tuple(tokens[index : index + RUN_WORDS])
            if gram in grams:
                yield " ".join(gram)
                break


@lru_cache(maxsize=512)
def _grams(text: str) -> frozenset[tuple[str, ...]]:
    tokens = words(text)
    return frozenset(
        tuple(tokens[index : index + RUN_WORDS]) for index in range(len(tokens) - RUN_WORDS + 1)
    )


def missing_values(body: str, text: str) -> Iterator[str]:
    """Numbers, identifiers, months and obligation words of a body that a text does not hold."""
    plain = body.replace("\u202f", " ").replace("\u00a0", " ")
    known = _values(text)
    for identifier in dict.fromkeys(_IDENTIFIER.findall(plain)):
        if identifier.casefold() not in text.casefold():
            yield identifier
    for value in dict.fromkeys(_values(_IDENTIFIER.sub(" ", plain), strict=True)):
        if value not in known:
            yield value
    for strength, claim in _CLAIMS.items():
        match = claim.search(plain)
        if match and not _OBLIGATION[strength].search(text):
            yield match[0]


def _values(text: str, strict: bool = False) -> list[str]:
    """Numbers (digits, thousands separators dropped) and months; number words become digits."""
    found: list[str] = []
    pattern = _NUMBER if strict else re.compile(r"\d+(?:[.,]\d+)*")
    for number in pattern.findall(text):
        joined = re.sub(r",(?=\d{3}\b)", "", number).rstrip(".,")
        found.append(joined)
        if not strict:
            found.extend(re.findall(r"\d+", number))
            found.extend(part.lstrip("0") for part in re.findall(r"\d+", number))
    skipped = {"one", "zero"} if strict else set()
    found.extend(
        _NUMBER_WORDS[token] for token in words(text) if token in _NUMBER_WORDS.keys() - skipped
    )
    found.extend(
        re.findall(
            rf"\b({'|'.join(m.capitalize() for m in _MONTHS if m not in {'may', 'march'})})\b", text
        )
    )
    if not strict:
        for year, month in re.findall(r"\b(\d{4})-(\d\d)-\d\d\b", text):
            found.append(_MONTHS[int(month) - 1].capitalize() if 1 <= int(month) <= 12 else year)
        # thin and no-break spaces group digits in legal texts
        found.extend(
            re.sub(r"[\s\u202f\u00a0]", "", run)
            for run in re.findall(r"\d{1,3}(?:[ \u202f\u00a0]\d{3})+", text)
        )
    return found
