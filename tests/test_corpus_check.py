"""The check of the corpus against its sources: each finding can be found, and what is right passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assistant.documents import parse_document
from assistant.taxonomy import load_taxonomy
from evals.__main__ import main
from evals.corpus_check import (
    Allowed,
    Report,
    check_corpus,
    locator_found,
    read_allowed,
    section,
)
from tests.conftest import SMALL

GUIDE = """\
# Guide

## Loading weights

Controls: a maintainer should check the hash of each file within 30 days of 1 June 2026, see
CVE-2025-1234.

## Other chapter

Everything here must be signed within 90 days, by July 2027 at the latest.

## Plain facts

Files came from three mirrors, 12,000 of them on 2026-11-30.
"""
FRONT = """\
---
id: guide
title: Guide
publisher: Example
kind: guideline
binding: voluntary
jurisdiction: international
version: "1"
published: 2026
status: current
licence: CC0-1.0
url: https://example.org/guide
compared: 2026-11-01
snapshot: guide
---

"""
LOADING = """\
## Loading weights | Compare the digest of what you load
- phases: model-selection
- concerns: supply-chain
- roles: developer
- asks: Do I have to compare digests?
- url: https://docs.example.org/guide#loading
- read: guide.md § Loading weights

A team that loads foreign weights should compare digests within 30 days of 1 June 2026.

Do:
- Compare the digest of every file.

Why: CVE-2025-1234 shows what happens when nobody compares.
Note: The rule is part of the first chapter.
"""
FACTS = """\
## Plain facts | Where the files are from
- phases: model-selection
- concerns: supply-chain
- roles: developer
- asks: Where do the files come from?
- read: guide.md § Plain facts

In November 2026 there were 3 mirrors with 12 000 files.
"""
STATEMENT = (
    "A team that loads foreign weights should compare digests within 30 days of 1 June 2026."
)
FACT = "In November 2026 there were 3 mirrors with 12 000 files."
LONG = "Teams " + "compare digests " * 22


def check(
    tmp_path: Path,
    text: str,
    allowed: tuple[Allowed, ...] = (),
    snapshots: bool = True,
    guide: str = GUIDE,
) -> Report:
    """The report on a corpus file that digests a guide."""
    source = tmp_path / "snapshots" / "guide"
    source.mkdir(parents=True)
    (source / "guide.md").write_text(guide, encoding="utf-8")
    path = tmp_path / "guide.md"
    path.write_text(FRONT + text, encoding="utf-8")
    document = parse_document(path, load_taxonomy(SMALL / "taxonomy.yaml"))
    return check_corpus(
        (document,), tmp_path, tmp_path / "snapshots" if snapshots else None, allowed
    )


def planted(old: str, new: str) -> str:
    text = LOADING + "\n" + FACTS
    assert text.count(old) == 1, old
    return text.replace(old, new)


def line_of(text: str, part: str) -> int:
    return (FRONT + text).partition(part)[0].count("\n") + 1


def test_a_faithful_digest_passes(tmp_path: Path) -> None:
    found = check(tmp_path, LOADING + "\n" + FACTS)
    assert found.failures == []
    assert found.unchecked == []
    assert found.checked == dict.fromkeys(("form", "url", "locator", "copied runs", "values"), 2)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (STATEMENT, "Teams: a maintainer should check the hash of each file.", "9 or more words"),
        (STATEMENT, "TEAMS: “A maintainer should check — the hash of each file”.", "9 or more"),
        ("30 days", "31 days", "'31' is not in the section"),
        ("30 days", "90 days", "'90' is not in the section"),
        ("30 days", "twelve days", "'12' is not in the section"),
        ("3 mirrors", "4 mirrors", "'4' is not in the section"),
        ("12 000 files", "12,001 files", "'12001' is not in the section"),
        ("1 June", "1 July", "'July' is not in the section"),
        ("1 June", "2 June", "'2' is not in the section"),
        ("June 2026.", "June 2027.", "'2027' is not in the section"),
        ("In November", "In December", "'December' is not in the section"),
        ("CVE-2025-1234", "CVE-2025-1235", "'CVE-2025-1235' is not in the section"),
        ("should compare", "must compare", "'must' is not in the section"),
        ("should compare", "shall compare", "'shall' is not in the section"),
        ("there were 3", "there should be 3", "'should' is not in the section"),
        ("## Loading weights |", "## Loading bytes |", "locator 'Loading bytes' is not in"),
        ("https://docs.example.org", "http://docs.example.org", "not a well-formed https"),
        ("docs.example.org/guide#loading", "docs.example.org/a b", "not a well-formed https"),
        ("https://docs.example.org", "https://docs.example.com", "not on the publisher's site"),
        ("https://docs.example.org", "https://badexample.org", "not on the publisher's site"),
        ("guide.md § Loading", "absent.md § Loading", "read: no file"),
        ("guide.md § Loading", "guide.md § Lading", "'Lading weights' is not in guide.md"),
        ("A team that", "This team that", "not begin with 'This'"),
        ("The rule is", "It is", "not begin with 'It'"),
        ("every file.", "every file. Tell others.", "one sentence a line"),
        ("every file.", "every <b>file</b>.", "markup"),
        ("every file.", "every [file](#x).", "markup"),
        ("every file.", "every\u200b file.", "invisible character"),
        ("every file.", "every file", "no full stop"),
        (STATEMENT, LONG + "gladly.", "46 words in one sentence"),
        (STATEMENT, "Compare digests.", "2 words in one sentence"),
        ("Compare the digest of every file.", "Compare.", "1 words in one sentence"),
        (STATEMENT, "\n".join([STATEMENT] * 5), "5 statement sentences"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = planted(old, new)
    found = check(tmp_path, text)
    assert len(found.failures) == 1, found.failures
    first = line_of(text, "## Plain facts |")
    line = first if old in FACTS else line_of(text, "## Loading")
    assert found.failures[0].startswith(f"{tmp_path / 'guide.md'}:{line}: ")
    assert says in found.failures[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (STATEMENT, "Some maintainer should check the hash of each file before use."),
        (STATEMENT, LONG.rstrip() + "."),
        ("30 days", "thirty days"),
        ("3 mirrors", "three mirrors"),
        ("12 000", "12,000"),
        ("Compare the digest of every file.", "Compare every digest."),
        ("https://docs.example.org", "https://example.org"),
    ],
)
def test_what_is_right_passes(tmp_path: Path, old: str, new: str) -> None:
    assert check(tmp_path, planted(old, new)).failures == []


def test_two_provisions_that_say_the_same_are_found(tmp_path: Path) -> None:
    twin = LOADING.replace("## Loading weights |", "## Loading |")
    found = check(tmp_path, LOADING + "\n" + twin)
    line = line_of(LOADING + "\n" + twin, "## Loading |")
    assert found.failures == [f"{tmp_path / 'guide.md'}:{line}: says the same as Loading weights"]


def test_without_the_sources_form_and_address_are_checked_and_the_rest_is_counted(
    tmp_path: Path,
) -> None:
    text = planted("30 days", "31 days").replace("A team that", "This team that")
    found = check(tmp_path, text, snapshots=False)
    assert len(found.failures) == 1
    assert "not begin with 'This'" in found.failures[0]
    assert found.unchecked == ["guide#Loading weights", "guide#Plain facts"]
    assert found.checked == {"form": 2, "url": 2}


def test_what_names_no_source_is_counted_as_unchecked(tmp_path: Path) -> None:
    found = check(tmp_path, planted("- read: guide.md § Loading weights\n", ""))
    assert found.unchecked == ["guide#Loading weights"]
    assert found.checked["values"] == 1


def test_the_command_names_file_and_line_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, broken = tmp_path / "guide.md", tmp_path / "broken.md"
    wrong.write_text(FRONT + planted("A team that", "This team that"), encoding="utf-8")
    broken.write_text("no front matter\n", encoding="utf-8")
    monkeypatch.setenv("SOURCES_DIR", str(tmp_path / "absent"))
    monkeypatch.setattr("sys.argv", ["evals", "corpus", str(wrong), str(broken)])
    assert main() == 1
    printed = capsys.readouterr().out
    assert re.search(r"guide\.md:\d+: a sentence must stand alone", printed)
    assert f"{broken}:1: " in printed
    assert printed.splitlines()[-1] == "unchecked 2 (100.0%), failed 2"


# The list of findings that are right


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("30 days", "31 days", "31"),
        ("1 June", "1 July", "July"),
        ("should compare", "must compare", "must"),
        (
            STATEMENT,
            "Teams: a maintainer should check the hash of each file.",
            "a maintainer should check the hash of each file",
        ),
    ],
)
def test_an_allowed_finding_is_none(tmp_path: Path, old: str, new: str, text: str) -> None:
    entry = Allowed("guide#Loading weights", text, "test")
    assert check(tmp_path, planted(old, new), (entry,)).failures == []


@pytest.mark.parametrize(
    "entry",
    [
        Allowed("guide#Plain facts", "31", "another provision"),
        Allowed("guide#Loading weights", "32", "another value"),
        Allowed("guide#Loading weights", "3", "part of the value"),
    ],
)
def test_what_is_allowed_is_no_more_than_it_says(tmp_path: Path, entry: Allowed) -> None:
    found = check(tmp_path, planted("30 days", "31 days"), (entry,))
    assert len(found.failures) == 1


def test_an_allowed_value_does_not_allow_a_copied_run(tmp_path: Path) -> None:
    copied = "Teams: hash of each file within 30 days of 1 June 2026."
    entry = Allowed("guide#Loading weights", "30", "a value, not a run of words")
    found = check(tmp_path, planted(STATEMENT, copied), (entry,))
    assert len(found.failures) == 1


def test_the_list_is_read_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "allowed.tsv"
    path.write_text('# id\ttext\treason\n\na#1\tthe "must"\tits name\n', encoding="utf-8")
    assert read_allowed(path) == (Allowed("a#1", 'the "must"', "its name"),)
    assert read_allowed(tmp_path / "absent.tsv") == ()


# Sections


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_section_of_a_markdown_heading_ends_at_the_next_of_its_level(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md", "# A\nsee Two\n## One\n1\n## Two\n2\n### Sub\n3\n## Three\n4\n")
    assert section(path, "Two") == "## Two\n2\n### Sub\n3"
    assert section(path, "Sub") == "### Sub\n3"
    assert section(path, "Three") == "## Three\n4"
    assert section(path, "A") == path.read_text("utf-8").rstrip("\n")


def test_section_without_an_anchor_is_the_file_and_an_unknown_anchor_is_none(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "a.md", "# A\ntext\n")
    assert section(path, "") == "# A\ntext\n"
    for name in ("a.md", "b.csv", "c.yaml", "d.rst", "e.txt"):
        assert section(write(tmp_path, name, "# A\ntext\n"), "Absent") is None


def test_comment_in_fenced_code_is_no_heading(tmp_path: Path) -> None:
    text = "## Load\nbefore\n```sh\n# Load the weights\nrun\n```\nafter\n## Next\nother\n"
    path = write(tmp_path, "a.md", text)
    found = section(path, "Load")
    assert found is not None
    assert found.splitlines()[0] == "## Load"
    assert found.splitlines()[-1] == "after"
    found = section(path, "Load the weights")
    assert found is not None
    assert found.startswith("## Load\n")


def test_section_of_a_table_is_the_row(tmp_path: Path) -> None:
    text = "# T\n\n| id | text |\n|---|---|\n| **1.1** | one |\n| **1.2** | two |\n"
    path = write(tmp_path, "a.md", text)
    assert section(path, "1.2") == "| **1.2** | two |"


def test_section_of_text_is_the_paragraph(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "first\n\nsecond begins\nholds   the anchor\nends\n\nthird\n")
    assert section(path, "the anchor") == "second begins\nholds   the anchor\nends"


def test_section_of_yaml_is_the_entry(tmp_path: Path) -> None:
    text = (
        "risks:\n"
        "  - id: R1\n    text: see R10 and R2\n    parts:\n      - a\n      - b\n"
        "  - id: R10\n    text: ten\n"
        "  - id: 'R2'\n    text: two\n"
    )
    path = write(tmp_path, "a.yaml", text)
    assert section(path, "R1") == "\n".join(text.splitlines()[1:6])
    assert section(path, "R10") == "  - id: R10\n    text: ten"
    assert section(path, "R2") == "  - id: 'R2'\n    text: two"


def test_section_of_csv_is_the_record(tmp_path: Path) -> None:
    text = 'id,text\n17,"has 7 in it"\n7,"two\nlines, quoted"\n70,other\n'
    path = write(tmp_path, "a.csv", text)
    assert section(path, "7") == "7\ntwo\nlines, quoted"
    assert section(path, "quoted") == "7\ntwo\nlines, quoted"


def test_section_of_a_restructuredtext_heading(tmp_path: Path) -> None:
    text = "Title\n=====\nabout Part\n\nPart\n----\ntext\n\nDeep\n~~~~\nmore\n\nNext\n----\nend\n"
    path = write(tmp_path, "a.rst", text)
    assert section(path, "Deep") == "Deep\n~~~~\nmore\n"
    assert section(path, "Part") == "Part\n----\ntext\n\nDeep\n~~~~\nmore\n"


def pdf(pages: list[str], catalog: str = "") -> bytes:
    """A PDF with one line of text on each page; catalog: further entries of its catalog."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    rows = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{rows}{trailer}".encode("ascii")


def test_section_of_a_pdf_is_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["page one", "page two", "page three"]))
    assert section(path, "p. 2") == "page two"
    assert section(path, "pp. 2-3") == "page two\npage three"
    for anchor in ("p. 0", "p. 4", "pp. 3-2", "pp. 2-9", "two"):
        assert section(path, anchor) is None


# Locators

ACT = """\
### Article 26 — Obligations of deployers

1. Deployers follow the instructions.

5. Deployers monitor the operation.

### Article 27 — Assessment

   (a) a description;

6. Deployers notify the authority.

## ANNEX III — High-risk systems

4. Employment:

## Recital (60) {#rct_60}

Another matter.
"""


@pytest.mark.parametrize(
    ("locator", "found"),
    [
        ("Art. 26", True),
        ("Art. 26(5)", True),
        ("Art. 26(9)", False),
        ("Art. 2(5)", False),
        ("Art. 28", False),
        ("Art. 27(6)", True),
        ("Annex III", True),
        ("Annex III(4)", True),
        ("Annex III(9)", False),
        ("Annex II", False),
        ("Recital 60", True),
        ("Recital 6", False),
        ("Obligations of deployers", True),
        ("ANNEX III – Employment", True),
        ("ANNEX III – Unemployment", False),
    ],
)
def test_locator_of_a_law(locator: str, found: bool) -> None:
    assert locator_found(locator, ACT) is found


@pytest.mark.parametrize(("paragraph", "found"), [(5, True), (6, False)])
def test_paragraph_must_be_in_the_article_that_is_cited(
    tmp_path: Path, paragraph: int, found: bool
) -> None:
    text = FACTS.replace("## Plain facts |", f"## Art. 26({paragraph}) |")
    text = text.replace("guide.md § Plain facts", "guide.md § Article 26")
    text = text.replace(FACT, "A deployer watches what the system does.")
    report = check(tmp_path, text, guide=ACT)
    assert [f"locator 'Art. 26({paragraph})' is not" in entry for entry in report.failures] == (
        [] if found else [True]
    )


def test_locator_of_an_incident() -> None:
    assert locator_found("Incident 7", "id,title\n7,A checkpoint opened a shell\n")
    assert locator_found("Incident 7", "See incident 7.")
    assert not locator_found("Incident 7", "id,title\n77,Another\n17,One more\n")
