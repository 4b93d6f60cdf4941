"""What the chat page writes, without a browser: HTML, Markdown, feedback, progress."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from assistant import Answer, Assistant, Page, Settings
from assistant.interfaces import feedback
from assistant.interfaces.feedback import Feedback
from assistant.interfaces.serving import Opening
from assistant.interfaces.web import actions, export, frame, knowledge, panel, reading, turns
from assistant.interfaces.web.conversation import Asked, pieces
from assistant.interfaces.web.markup import attributes, badge, prose, safe_url, text
from evals.questions import load_questions

QUESTION = "May I load a .bin checkpoint I found on a model hub?"
HOSTILE = '<script>alert(1)</script> ![x](http://198.51.100.1/x.png) "quoted" <img src=x onerror=y>'
TAGS = {"script", "img", "iframe", "object", "style", "link", "meta", "base", "embed"}


class Seen(HTMLParser):
    """The tags and attributes of a piece of HTML, and whether each opened tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(html: str) -> Seen:
    """The HTML, in which nothing runs, loads or leads anywhere but to the web."""
    seen = Seen(html)
    assert not TAGS & set(seen.tags), seen.tags
    for name, value in seen.attributes:
        assert not name.startswith("on") and name not in ("src", "srcdoc", "action"), (name, value)
        if name == "href":
            assert value.startswith(("http://", "https://", "?open=")), value
    return seen


@pytest.fixture(scope="module")
def answer(assistant: Assistant) -> Answer:
    return assistant.ask(QUESTION)


@pytest.fixture(scope="module")
def hostile(answer: Answer) -> Answer:
    """An answer in which every text is hostile and every address a script."""
    citations = tuple(
        replace(
            entry,
            quote=HOSTILE,
            title=HOSTILE,
            publisher=HOSTILE,
            locator=HOSTILE,
            heading=HOSTILE,
            url="javascript:alert(1)",
        )
        for entry in answer.citations
    )
    statements = tuple(replace(entry, text=HOSTILE) for entry in answer.statements)
    return replace(
        answer, question=HOSTILE, read_as=HOSTILE, statements=statements, citations=citations
    )


def phases(assistant: Assistant) -> dict[str, str]:
    return {term.id: term.title for term in assistant.corpus.taxonomy.phases.values()}


# Escaping


def test_text_is_escaped_and_invisible_characters_are_dropped() -> None:
    assert text("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert "\u202e" not in text("a\u202eb") and "\x00" not in text("a\x00b")
    assert prose("use `a<b>`") == "use <code>a&lt;b&gt;</code>"
    assert attributes(data_x='"><script>') == ' data-x="&quot;&gt;&lt;script&gt;"'


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.org/a", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("//example.org", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_only_addresses_of_the_web_become_links(url: str, kept: bool) -> None:
    assert safe_url(url) == (url if kept else None)


def test_hostile_text_in_a_turn_stays_text(hostile: Answer, assistant: Assistant) -> None:
    for html in (
        turns.answered(hostile, phases(assistant), "", [HOSTILE]),
        turns.under_way(hostile.statements, hostile.citations),
        turns.answered(
            replace(hostile, outcome="abstained", reason=f"No: {HOSTILE}"), phases(assistant)
        ),
        turns.refused(HOSTILE),
        turns.waiting(HOSTILE),
    ):
        assert "<script>alert(1)</script>" in harmless(html).text


def test_hostile_text_in_sources_and_lists_stays_text(assistant: Assistant) -> None:
    document = assistant.document("eu-gdpr")
    source = replace(
        document.source,
        title=HOSTILE,
        publisher=HOSTILE,
        version=HOSTILE,
        url="javascript:alert(1)",
    )
    entry = replace(
        document.provisions[0], title=HOSTILE, locator=HOSTILE, url="javascript:alert(1)"
    )
    body = document.text[: entry.start] + HOSTILE.ljust(entry.stop - entry.start)
    bad = replace(document, source=source, text=body, provisions=(entry,))
    shown = panel.provision(
        replace(entry, segments=(replace(entry.segments[0], start=entry.start),)),
        bad,
        [],
        entry.start,
        entry.stop,
    )
    assert "<script>" in harmless(shown).text and "official" not in shown
    harmless(knowledge.source(bad))
    harmless(knowledge.listing(HOSTILE, [(entry, bad)], ""))
    harmless(knowledge.listing(HOSTILE, [], HOSTILE))
    harmless(knowledge.overview(assistant.coverage(), [bad], [], assistant.corpus.taxonomy))


def test_markdown_of_hostile_text_has_no_image_link_or_html(hostile: Answer) -> None:
    markdown = export.markdown(hostile)
    assert "\\<script\\>" in markdown and "\\!\\[x\\]" in markdown
    assert "<script" not in markdown.replace("\\<script", "") and "](http" not in markdown.replace(
        "\\](http", ""
    )
    assert "javascript:" not in markdown


# What is said


def test_a_turn_holds_every_statement_and_citation_in_the_order_of_trust(
    assistant: Assistant,
) -> None:
    answer = assistant.ask("Has anybody ever been attacked by a pickle file from a model hub?")
    html = turns.answered(answer, phases(assistant))
    seen = harmless(html)
    for statement in answer.statements:
        assert statement.text.replace("`", "") in seen.text
    opened = [value for name, value in seen.attributes if name == "data-open"]
    assert {f"{c.source_id}#{c.locator}" for c in answer.citations} == set(opened)
    headings = ["Phase:", "Do", "Required by law", "What studies", "Sources"]
    places = [seen.text.find(heading) for heading in headings]
    assert places == sorted(places) and -1 not in places


def test_what_is_said_first_is_a_beginning_of_what_is_said_last(
    answer: Answer, assistant: Assistant
) -> None:
    whole = Seen(turns.answered(answer, phases(assistant))).text
    for count in range(1, len(answer.statements)):
        part = Seen(turns.under_way(answer.statements[:count], answer.citations)).text
        assert part.removeprefix("Reading the sources …").replace(
            "Nothing specific found.", ""
        ) in (whole.replace("Nothing specific found.", ""))


def test_the_turn_says_what_else_a_reader_must_know(answer: Answer, assistant: Assistant) -> None:
    titles = phases(assistant)
    assert "Read as:" not in turns.answered(answer, titles)
    followed = turns.answered(replace(answer, read_as="The whole question"), titles)
    assert "Read as: “The whole question”" in followed
    assert "2 statements are withheld" in turns.answered(replace(answer, withheld=2), titles)
    assert "corpus 2020" in turns.answered(answer, titles, "2020")
    assert "may differ" not in turns.answered(answer, titles, answer.corpus_version)
    assert "Limited to law, EU" in turns.answered(answer, titles, "", ["law", "EU"])
    assert "Not searched: acme" in turns.answered(answer, titles, without=["acme"])


def test_the_page_of_a_document_is_named_wherever_it_is_cited(
    answer: Answer, assistant: Assistant
) -> None:
    cited = tuple(replace(entry, page=7, page_label="v") for entry in answer.citations)
    paged = replace(answer, citations=cited)
    place = f"{cited[0].locator}, p. v (7 of the file)"
    for shown in (turns.answered(paged, phases(assistant)), export.markdown(paged)):
        assert place in Seen(shown.replace("\\", "")).text
    document = assistant.document(cited[0].source_id)
    entry = document.provisions[-1]
    pages = (Page(0, 1, "i"), Page(entry.start, 2, "2"))
    shown = panel.provision(entry, replace(document, pages=pages), [])
    assert f"{entry.locator}, p. 2" in Seen(shown).text
    shown = panel.provision(entry, replace(document, pages=pages), [], 0, 1)
    assert f"{entry.locator}, p. i (1 of the file)" in Seen(shown).text


@pytest.mark.parametrize(
    ("kind", "binding", "words"),
    [
        ("law", "binding", "Binding law"),
        ("standard", "voluntary", "Voluntary guidance"),
        ("study", "evidence", "Study finding"),
        ("incident", "evidence", "Incident"),
        ("policy", "internal", "Your own rule"),
    ],
)
def test_a_badge_has_a_word_and_a_shape_of_its_own(kind: str, binding: str, words: str) -> None:
    html = badge(kind, binding)
    assert Seen(html).text == words
    others = [badge(*other) for other in (("law", "binding"), ("standard", "voluntary"))]
    assert html.partition("<svg")[2].partition("</svg>")[0] not in [
        other.partition("<svg")[2].partition("</svg>")[0] for other in others if other != html
    ]


def test_every_source_of_the_corpus_has_a_badge_that_is_true(assistant: Assistant) -> None:
    for document in assistant.corpus.documents:
        source = document.source
        word = Seen(badge(source.kind, source.binding)).text
        assert (word == "Binding law") == (source.binding == "binding"), source.id
        assert (word in ("Study finding", "Incident")) == (source.binding == "evidence"), source.id


def test_markdown_names_each_citation(answer: Answer) -> None:
    markdown = export.markdown(answer)
    for citation in answer.citations:
        assert f"[{citation.number}] " in markdown and citation.url in markdown
    assert answer.corpus_version in markdown


def test_the_quoted_span_is_marked_and_nothing_else(answer: Answer, assistant: Assistant) -> None:
    for citation in answer.citations:
        (entry,) = assistant.provision(f"{citation.source_id}#{citation.locator}")
        document = assistant.document(citation.source_id)
        html = panel.provision(entry, document, [], citation.start, citation.stop)
        marked = "".join(
            Seen(part.partition("</mark>")[0]).text for part in html.split("<mark>")[1:]
        )
        assert marked == citation.quote.replace("`", "")


def test_a_checklist_has_keys_that_do_not_depend_on_the_order(assistant: Assistant) -> None:
    taxonomy = assistant.corpus.taxonomy
    concerns = {term.id: term.title for term in taxonomy.concerns.values()}
    few, many = (
        harmless(
            actions.checklist(
                assistant.checklist("deployment", per_concern=number), phases(assistant), concerns
            )
        )
        for number in (2, 4)
    )
    keys = [
        {value for name, value in seen.attributes if name == "data-key"} for seen in (few, many)
    ]
    assert keys[0] and keys[0] < keys[1]
    assert "Before this:" in few.text and "Next:" in few.text


def test_the_page_loads_nothing_from_elsewhere(assistant: Assistant) -> None:
    questions = frame.examples(assistant.corpus)
    parts = [
        frame.header(assistant.corpus),
        frame.conversation(questions, phases(assistant)),
        frame.source_panel(),
    ]
    for part in parts:
        harmless(part)
    static = Path(frame.__file__).parent / "static"
    for file in static.iterdir():
        content = file.read_text("utf-8")
        assert "@import" not in content and "url(" not in content, file
        assert "://" not in content.replace("/^https?:\\/\\//", ""), file


# Reading and asking


class Stuck(Opening):
    """An opening that is building and does not end."""

    def start(self) -> Any:
        self._future = self._future or Future()
        return self._future


def client(opening: Opening, tmp_path: Path) -> TestClient:
    return TestClient(Starlette(routes=reading.routes(opening, tmp_path / "feedback.sqlite3")))


def test_status_says_how_far_the_index_is(tmp_path: Path) -> None:
    opening = Stuck(Settings())
    opening._advance("embedding", 3, 8)
    browser = client(opening, tmp_path)
    found = browser.get("/read/status").json()
    assert (found["ready"], found["failed"], found["collections"]) == (False, False, [])
    assert "embedding: 3 of 8" in found["words"] and (found["done"], found["total"]) == (3, 8)
    refused = browser.get("/read/overview")
    assert refused.status_code == 503 and "embedding: 3 of 8" in refused.text
    piece, history = next(pieces(Asked("What?", "", [], [], [], ""), opening, []))
    assert piece["state"] == "waiting" and "embedding: 3 of 8" in piece["html"] and not history


def test_a_corpus_that_cannot_be_read_is_said_in_the_page(tmp_path: Path) -> None:
    opening = Opening(Settings(corpus=tmp_path / "none"))
    with pytest.raises(Exception, match="none"):
        opening.start().result(30)
    found = client(opening, tmp_path).get("/read/status").json()
    assert found["failed"] and "none" in found["words"]
    opening.close()


@pytest.fixture(scope="module")
def opened() -> Any:
    opening = Opening(Settings())
    opening.start().result(60)
    yield opening
    opening.close()


@pytest.mark.parametrize(
    "address",
    [
        "provision?id=no-source%23Art.%201",
        "cell?phase=x&concern=y",
        "source?id=x",
        "search?q=",
        "checklist?phase=x",
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(
    address: str, opened: Opening, tmp_path: Path
) -> None:
    found = client(opened, tmp_path).get(f"/read/{address}")
    assert found.status_code == 400 and found.text.strip() and "<" not in found.text
    assert found.headers["content-type"].startswith("text/plain")


def test_a_span_that_is_no_span_marks_nothing(opened: Opening, tmp_path: Path) -> None:
    for start, stop in (("x", "y"), ("9" * 5000, "1"), ("-1", "²"), ("10", "5")):
        query = {"id": "eu-gdpr#Art. 35(1)", "start": start, "stop": stop}
        found = client(opened, tmp_path).get("/read/provision", params=query)
        assert found.status_code == 200 and "<mark>" not in found.text


def test_answers_are_remembered_and_each_piece_has_its_state(
    opened: Opening, assistant: Assistant
) -> None:
    told = list(pieces(Asked(QUESTION, "", [], [], [], ""), opened, []))
    assert [piece["state"] for piece, _ in told] == [
        *["streaming"] * len(assistant.ask(QUESTION).statements),
        "answered",
    ]
    last, history = told[-1]
    assert json.loads(json.dumps(last))["answer"]["question"] == QUESTION
    assert history == [assistant.ask(QUESTION)]
    ((refused, kept),) = pieces(Asked("", "", [], [], [], ""), opened, history)
    assert refused["state"] == "refused" and kept == history


# Feedback

GIVEN = {
    "verdict": "up",
    "comment": "fits",
    "question": QUESTION,
    "phase": None,
    "outcome": "answered",
    "best": ["a#1"],
    "others": ["b#2", "a#1"],
    "corpus_version": "v",
}


def test_feedback_becomes_an_eval_question(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "feedback.sqlite3"
    assert feedback.load(file) == []
    browser = TestClient(Starlette(routes=reading.routes(Stuck(Settings()), file)))
    assert browser.post("/feedback", json=GIVEN).status_code == 204
    assert browser.post("/feedback", json={**GIVEN, "verdict": "down"}).status_code == 204
    abstained = {**GIVEN, "outcome": "abstained", "best": [], "others": [], "comment": ""}
    assert browser.post("/feedback", json=abstained).status_code == 204
    answered, uncovered = feedback.questions(feedback.load(file))
    assert answered["gold"] == [{"id": "a#1", "grade": 2}, {"id": "b#2", "grade": 1}]
    assert uncovered["kind"] == "not-covered" and uncovered["gold"] == []
    lines = tmp_path / "questions.jsonl"
    lines.write_text("".join(f"{json.dumps(entry)}\n" for entry in (answered, uncovered)), "utf-8")
    assert [entry.id for entry in load_questions(lines)] == ["feedback-1", "feedback-3"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "sideways"},
        {"comment": "x" * 2001},
        {"best": "a#1"},
        {"best": ["x" * 301]},
        {"others": ["a"] * 51},
        {"question": 5},
        {"more": 1},
    ],
    ids=str,
)
def test_other_feedback_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "feedback.sqlite3"
    browser = client(Stuck(Settings()), tmp_path)
    assert browser.post("/feedback", json={**GIVEN, **wrong}).status_code == 400
    assert browser.post("/feedback", json=[GIVEN]).status_code == 400
    assert browser.post("/feedback", content=b"{").status_code == 415
    assert feedback.load(file) == []


def test_feedback_of_many_at_once_is_all_kept(tmp_path: Path) -> None:
    given = Feedback.parse(GIVEN)
    file = tmp_path / "feedback.sqlite3"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: feedback.save(file, given), range(40)))
    assert [number for number, _ in feedback.load(file)] == list(range(1, 41))
