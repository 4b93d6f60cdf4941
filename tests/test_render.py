"""Answers as plain text, and the coverage image: nothing is dropped, nothing raw reaches the terminal."""

from __future__ import annotations

import io
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import RenderableType

from assistant import (
    Answer,
    Assistant,
    Citation,
    Hit,
    Settings,
    SourceSummary,
    Statement,
    Topic,
)
from assistant.answering import answer
from assistant.documents import Corpus, Link, Rereader
from assistant.index import build_index, open_index
from assistant.interfaces import render
from assistant.interfaces.heatmap import coverage_svg
from assistant.ranking import load_ranking
from assistant.retrieval import Filters, Retriever
from tests.conftest import ROOT, HashEmbedder
from tests.test_cli import PROGRAM

PICKLE = "Is it safe to load a pickle checkpoint from the internet?"
# Escape, bell, backspace, the one-character form of escape-bracket, carriage return, delete.
RAW = "a\x1b[31mred\x1b]0;title\x07b\x08c\x9b2Jd\re\x7ff"
Shown = Callable[[RenderableType], str]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What a renderable looks like on a standard output that is no terminal."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def print_plain(renderable: RenderableType) -> str:
        stream = io.StringIO()
        monkeypatch.setattr("sys.stdout", stream)
        render.console().print(renderable)
        return stream.getvalue()

    return print_plain


@pytest.fixture
def retriever(small_corpus: Corpus, small_settings: Settings) -> Iterator[Retriever]:
    """The small corpus behind the hash embedder, with a threshold that answers everything."""
    embedder = HashEmbedder()
    build_index(small_corpus, small_settings, embedder=embedder)
    with open_index(small_corpus, small_settings, embedder) as index:
        yield Retriever(index, embedder, load_ranking(ROOT / "tests" / "data"))


def citation(number: int, **changes: Any) -> Citation:
    values: dict[str, Any] = {
        "number": number,
        "source_id": "guide",
        "title": "Guide",
        "publisher": "Example",
        "kind": "guideline",
        "binding": "voluntary",
        "jurisdiction": "international",
        "version": "1.0",
        "date": "2026-01-15",
        "in_force_from": None,
        "status": "current",
        "locator": f"G{number}",
        "heading": f"Heading {number}",
        "url": f"https://example.org/guide#g{number}",
        "page": None,
        "quote": f"Sentence {number}.",
        "start": 0,
        "stop": 11,
        "document_sha256": "0" * 64,
    }
    return Citation(**values | changes)


LAW: dict[str, Any] = {
    "kind": "law",
    "binding": "binding",
    "jurisdiction": "EU",
    "in_force_from": "2027-12-02",
}


def answered(*statements: Statement, citations: tuple[Citation, ...], withheld: int = 0) -> Answer:
    return Answer(
        question="What now?",
        read_as="What now?",
        outcome="answered",
        reason="",
        nearest=(),
        phases=("model-selection",),
        statements=statements,
        citations=citations,
        withheld=withheld,
        corpus_version="2026-11-23-00000000",
        timings_ms={},
        noticed=(),
        model=None,
        note="",
        read_by=None,
    )


def abstained(**changes: Any) -> Answer:
    topics = (Topic("May I unpickle?", "guide", "G1", "Do not unpickle"),)
    return replace(
        answered(citations=()),
        outcome="abstained",
        **{
            "reason": "Not covered: the sources hold nothing that answers this question.",
            "nearest": topics,
            **changes,
        },
    )


# Answers


def test_an_answer_is_shown_in_parts_with_its_citation_numbers(shown: Shown) -> None:
    found = answered(
        Statement("Sentence 1.", "answer", (1, 2)),
        Statement("Sentence 3.", "action", (3,)),
        Statement("Sentence 4.", "requirement", (4,)),
        Statement("Sentence 5.", "evidence", (5,)),
        citations=(
            citation(1),
            citation(2, source_id="other", publisher="Other"),
            citation(3, locator="G1"),
            citation(4, **LAW),
            citation(5, kind="study", binding="evidence"),
        ),
    )
    assert shown(render.answer(found)).splitlines() == [
        "Sentence 1. [1][2]",
        "",
        "Do",
        "  • Sentence 3. [3]",
        "",
        "Required by law",
        "  • Sentence 4. [4]",
        "",
        "What studies, incidents and further sources show",
        "  • Sentence 5. [5]",
        "",
        "Sources",
        # The same provision is one line, with both its numbers.
        "[1][3] Example · Guide 1.0 · G1 · guideline, voluntary, international, 2026-01-15 · "
        "https://example.org/guide#g1",
        "[2] Other · Guide 1.0 · G2 · guideline, voluntary, international, 2026-01-15 · "
        "https://example.org/guide#g2",
        "[4] Example · Guide 1.0 · G4 · law, binding law, EU, 2026-01-15, "
        "applies from 2027-12-02 · https://example.org/guide#g4",
        "[5] Example · Guide 1.0 · G5 · study, evidence, international, 2026-01-15 · "
        "https://example.org/guide#g5",
        "",
        "Read as: model-selection · corpus 2026-11-23-00000000",
    ]


def test_every_number_of_a_real_answer_is_said_and_listed(
    retriever: Retriever, shown: Shown
) -> None:
    found = answer(PICKLE, retriever, Filters(), Rereader(retriever.index.corpus.folder))
    assert found.citations
    said, _, listed = shown(render.answer(found)).partition("\nSources\n")
    numbers = {citation.number for citation in found.citations}
    assert {int(number) for number in re.findall(r"\[(\d+)\]", said)} == numbers
    assert {int(number) for number in re.findall(r"\[(\d+)\]", listed)} == numbers
    for statement in found.statements:
        assert statement.text in said
    for entry in found.citations:
        assert entry.url in listed
        assert entry.locator in listed


def test_where_no_law_is_cited_that_is_said(shown: Shown) -> None:
    found = answered(Statement("Sentence 1.", "answer", (1,)), citations=(citation(1),))
    lines = shown(render.answer(found)).splitlines()
    assert lines[lines.index("Required by law") + 1] == "  – nothing specific found"


def test_where_law_is_the_answer_it_is_not_said_to_be_absent(shown: Shown) -> None:
    found = answered(Statement("Sentence 1.", "answer", (1,)), citations=(citation(1, **LAW),))
    text = shown(render.answer(found))
    assert "nothing specific found" not in text
    assert "binding law" in text


def test_a_status_other_than_current_is_shown(shown: Shown) -> None:
    found = answered(
        Statement("Sentence 1.", "answer", (1, 2, 3)),
        citations=(
            citation(1, status="superseded by new-guide"),
            citation(2, status="draft"),
            citation(3),
        ),
    )
    lines = [line for line in shown(render.answer(found)).splitlines() if "https://" in line]
    assert "2026-01-15, superseded by new-guide · https://" in lines[0]
    assert "2026-01-15, draft · https://" in lines[1]
    assert "2026-01-15 · https://" in lines[2]


def test_withheld_statements_are_counted(shown: Shown) -> None:
    one = Statement("Sentence 1.", "answer", (1,))
    found = answered(one, citations=(citation(1),), withheld=2)
    assert "Withheld: 2 (not found again in the source)\n" in shown(render.answer(found))
    assert "Withheld" not in shown(render.answer(replace(found, withheld=0)))


def test_an_answer_withheld_in_full_says_so(retriever: Retriever, shown: Shown) -> None:
    corpus = retriever.index.corpus
    found = answer(
        PICKLE, retriever, Filters(), lambda source: (corpus.by_source[source].text, "0" * 64)
    )
    assert found.withheld > 0
    text = shown(render.answer(found))
    assert "withheld" in text.splitlines()[0]
    assert "[1]" not in text


def test_an_abstention_shows_its_reason_and_what_is_near(shown: Shown) -> None:
    assert shown(render.answer(abstained())).splitlines() == [
        "Not covered: the sources hold nothing that answers this question.",
        "",
        "What the sources do cover, nearest first",
        "  • May I unpickle? (guide G1: Do not unpickle)",
        "",
        "corpus 2026-11-23-00000000",
    ]
    assert "nearest" not in shown(render.answer(abstained(nearest=())))


def test_a_follow_up_is_shown_as_it_was_read(shown: Shown) -> None:
    read_as = "According to the law: What now?"
    found = replace(
        answered(Statement("One.", "answer", (1,)), citations=(citation(1),)), read_as=read_as
    )
    ends = [f"Read as: {read_as} · model-selection · corpus 2026-11-23-00000000"]
    assert shown(render.answer(found)).splitlines()[-1:] == ends
    refused = replace(abstained(), read_as=read_as)
    ends = [f"Read as: {read_as} · corpus 2026-11-23-00000000"]
    assert shown(render.answer(refused)).splitlines()[-1:] == ends


def test_long_lines_are_left_whole_and_brackets_are_text(shown: Shown) -> None:
    long = "Sentences [bold]of[/bold] :warning: many words " * 20 + "end."
    found = answered(Statement(long, "answer", (1,)), citations=(citation(1, quote=long),))
    assert shown(render.answer(found)).splitlines()[0] == f"{long} [1]"


# Other views


def test_hits(assistant: Assistant, shown: Shown) -> None:
    found = assistant.search("EX01 pickle checkpoint", 3)
    lines = shown(render.hits(found)).splitlines()
    assert len(lines) == 3
    for line, hit in zip(lines, found, strict=True):
        assert float(line.split()[0]) == pytest.approx(hit.score, abs=1e-3)
        assert f"{hit.document.source.id} {hit.provision.locator}  {hit.provision.title}" in line
    assert shown(render.hits([])) == "Nothing found.\n"


def test_provision_is_shown_whole(assistant: Assistant, shown: Shown) -> None:
    entry = assistant.provision("owasp-llm-top10-2025#LLM01:2025")[0]
    document = assistant.document(entry.source_id)
    links = assistant.related(entry)
    text = shown(render.provision(entry, document, links))
    assert text.startswith(f"{entry.locator} · {entry.title}\n")
    assert "Status: superseded by owasp-llm-top10-2026" in text
    assert document.text[entry.segments[0].start : entry.stop] in text
    assert f"licence {document.source.licence}" in text
    for link in links:
        assert f"  {link.match}: {link.object} ({link.origin})\n" in text


def test_provision_of_a_law_says_from_when_it_applies(assistant: Assistant, shown: Shown) -> None:
    entry = assistant.provision("eu-ai-act#Art. 26(5)")[0]
    text = shown(render.provision(entry, assistant.document("eu-ai-act"), ()))
    assert "\nApplies from 2027-12-02\n" in text
    assert "Status:" not in text
    assert "Crosswalk" not in text


def test_sources(shown: Shown) -> None:
    one = SourceSummary("guide", "Guide", "Example", "law", "1", "u", "CC0", 12, ("evaluation",))
    phases = tuple("abcdefg")
    lines = shown(render.sources([one, replace(one, id="all", phases=phases)])).splitlines()
    assert lines[0].split() == ["12", "law", "guide", "Guide", "(evaluation)"]
    assert lines[1].split() == ["12", "law", "all", "Guide"]
    assert lines[2].split() == ["24", "provisions", "in", "2", "sources"]


def test_coverage(shown: Shown) -> None:
    matrix = {"p": {"c": 1, "d": 20}, "q": {"c": 0, "d": 300}}
    titles = {"p": "Phase", "q": "Other", "c": "Concern", "d": "Danger"}
    rows = [line.split() for line in shown(render.coverage(matrix, titles)).splitlines()]
    assert rows == [["Phase", "Other"], ["Concern", "1", "0"], ["Danger", "20", "300"]]


# Terminals


def controls(text: str) -> set[str]:
    """Control characters other than the line feed."""
    return {char for char in text if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160}


def test_nothing_is_styled_where_there_is_no_terminal(assistant: Assistant, shown: Shown) -> None:
    for question in ("What does LLM01 say?", PICKLE, "What will the weather be tomorrow?"):
        assert controls(shown(render.answer(assistant.ask(question)))) == set()


def test_a_terminal_gets_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    render.console().print(render.answer(abstained()))
    assert "\x1b[" in stream.getvalue()


@pytest.mark.parametrize(
    "question",
    [
        f"What does EX37 {RAW} say?",
        f"{PICKLE} {RAW}",
        "What does EX\x1b[31m99 say about Art. 9\x9b2J?",
    ],
    ids=ascii,
)
def test_control_characters_of_a_question_are_not_shown(
    retriever: Retriever, shown: Shown, question: str
) -> None:
    found = answer(question, retriever, Filters(), Rereader(retriever.index.corpus.folder))
    assert controls(shown(render.answer(found))) == set()
    assert controls(found.question) == set()


def test_control_characters_of_an_answer_are_not_shown(shown: Shown) -> None:
    hostile = dict.fromkeys(("title", "publisher", "version", "locator", "url", "status"), RAW)
    found = answered(Statement(RAW, "answer", (1,)), citations=(citation(1, **hostile),))
    assert controls(shown(render.answer(found))) == set()
    topic = Topic(RAW, RAW, RAW, RAW)
    assert controls(shown(render.answer(abstained(reason=RAW, nearest=(topic,))))) == set()


def test_control_characters_of_a_document_are_not_shown(small_corpus: Corpus, shown: Shown) -> None:
    whole = small_corpus.by_source["example-guideline"]
    assert "unpickling" in whole.text
    text = whole.text.replace("unpickling", "\x1b[31m\x9b2J\x07\x7f")
    assert len(text) == len(whole.text)
    document = replace(whole, text=text, source=replace(whole.source, title=RAW, licence=RAW))
    entry = replace(document.provisions[0], title=RAW, url=RAW, status=RAW)
    summary = SourceSummary(RAW, RAW, RAW, "law", "1", RAW, RAW, 1, (RAW,))
    views = [
        render.provision(entry, document, (Link("a", "exact", "b", RAW),)),
        render.hits([Hit(entry, document, 1.0, 1.0, {})]),
        render.sources([summary]),
        render.coverage({"p": {"c": 1}}, {"p": RAW, "c": RAW}),
    ]
    assert [controls(shown(view)) for view in views] == [set()] * 4


@pytest.mark.parametrize(
    "arguments",
    [("show", f"LLM77{RAW}"), ("ask", "A question", "--phase", RAW), ("show", RAW)],
    ids=["show", "phase", "nothing"],
)
def test_control_characters_of_arguments_are_not_shown(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*PROGRAM, *arguments], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr
    assert controls((done.stdout + done.stderr).decode("utf-8")) == set()


# The image


def heatmap(matrix: dict[str, dict[str, int]], titles: dict[str, str]) -> ElementTree.Element:
    return ElementTree.fromstring(coverage_svg(matrix, titles))


def test_image_is_well_formed_and_refers_to_nothing(assistant: Assistant) -> None:
    taxonomy = assistant.corpus.taxonomy
    terms = (*taxonomy.phases.values(), *taxonomy.concerns.values())
    titles = {term.id: term.title for term in terms}
    matrix = assistant.coverage()
    text = coverage_svg(matrix, titles)
    root = ElementTree.fromstring(text)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names == {"svg", "title", "rect", "text"}
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.endswith(("href", "src", "style")), name
            assert "url(" not in value
            assert "//" not in value or name == "xmlns"
    assert text.count("://") == 1  # the namespace
    shown = [element.text for element in root.iter() if element.tag.endswith("}text")]
    counts = [str(matrix[phase][concern]) for concern in taxonomy.concerns for phase in matrix]
    assert [entry for entry in shown if entry and entry.isdigit()] == counts
    assert set(titles.values()) <= set(shown)


def test_image_escapes_titles() -> None:
    hostile = '<script>alert("1")</script> & more'
    root = heatmap({"p": {"c": 1}}, {"p": hostile, "c": "C"})
    assert root.findtext("{*}text") == hostile
    assert not any(element.tag.endswith("script") for element in root.iter())


def test_image_deepens_with_the_count_and_takes_zeros() -> None:
    root = heatmap({"p": {"c": 0, "d": 25, "e": 100}}, dict(zip("pcde", "PCDE", strict=True)))
    fills = [element.get("fill", "") for element in root.iter() if element.tag.endswith("}rect")]
    assert fills[1] == "rgb(255,255,255)"
    assert fills[3] == "rgb(10,74,140)"
    assert fills[2] not in (fills[1], fills[3])
    empty = heatmap({"p": {"c": 0}}, {"p": "P", "c": "C"})
    assert [element.text for element in empty.iter()][-1] == "0"
