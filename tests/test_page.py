"""The chat page in headless Chromium, as a person uses it: one server and one browser for all."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import filelock
import httpx
import pytest

from assistant import Assistant, Settings
from evals.bench.page import PEOPLE, all_at_once
from tests.conftest import SMALL
from tests.servers import Served, served
from tests.test_cli import environment, run, with_model

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed: the chat page is not tested", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_core = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")

AXE = (Path(axe_core.__file__).parent / "axe.min.js").read_text("utf-8")
CHAT = ("chat", "--no-browser", "--per-minute", "1000000")
LOADING = "May I load a .bin checkpoint I found on a model hub?"
LAW = "Do we have to tell users that they talk to an AI?"
DESK = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
HOSTILE = """# Hostile rules <script>window.hacked = 1</script>

## Zebra gateway keys <img src=x onerror="window.hacked = 2">

Zebra gateway keys must be rotated weekly <script>window.hacked = 3</script> by the
[platform team](javascript:window.hacked=4) of ![Acme](http://198.51.100.1/beacon.png) without fail.
"""
HOSTILE_NAME = "<img src=x onerror=window.hacked=5>.txt"


@dataclass
class Chat:
    """One browser's page."""

    page: Any
    url: str

    @property
    def last(self) -> Any:
        """The last turn of the conversation."""
        return self.page.locator("#turns article").last

    def ask(self, question: str) -> Any:
        """Type a question and wait for the end of its answer, which is returned."""
        self.page.locator("#question textarea").fill(question)
        return self.turn(lambda: self.page.keyboard.press("Enter"))

    def turn(self, act: Callable[[], object]) -> Any:
        """Do something that asks, and wait for the end of the answer, which is returned."""
        before = self.page.locator("#turns article").count()
        act()
        turn = self.page.locator("#turns article").nth(before)
        turn.wait_for()
        self.page.locator(f"#turns article:nth-child({before + 1}):not([aria-busy])").wait_for()
        return turn

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()
        if name == "Knowledge":
            self.page.locator("#knowledge-view h2").first.wait_for()
        if name == "Checklist":
            self.page.locator("#checklist-phase").wait_for()
        if name == "Documents":
            self.page.locator("#documents-view h2").first.wait_for()

    def download(self, act: Callable[[], object]) -> str:
        """The text of the file that something downloads."""
        with self.page.expect_download() as found:
            act()
        return Path(found.value.path()).read_text("utf-8")

    def copied(self, act: Callable[[], object]) -> str:
        act()
        self.page.locator("#spoken", has_text="Copied").wait_for(state="attached")
        return str(self.page.evaluate("navigator.clipboard.readText()"))


@dataclass
class Browser:
    """The browser, with every address that any of its pages called."""

    chromium: Any
    called: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @contextmanager
    def open(self, url: str, **options: Any) -> Iterator[Chat]:
        """A fresh browser of its own, at an address; script errors fail the test."""
        context = self.chromium.new_context(**{**DESK, **options})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("request", lambda request: self.called.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        try:
            page.goto(url)
            page.locator("#question textarea").wait_for()
            page.wait_for_function("document.querySelector('#opening').hidden && page.started")
            yield Chat(page, url)
            assert self.errors == []
        finally:
            context.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                "--disable-sync",
            ],
        )
        yield Browser(chromium)
        chromium.close()


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shipped corpus and its index, a library with a hostile document, and own user data."""
    folder = tmp_path_factory.mktemp("user")
    found = environment(
        Settings().corpus,
        Settings().cache,
        SAFETY_ASSISTANT_LIBRARY=str(folder / "library"),
        XDG_DATA_HOME=str(folder),
    )
    (folder / "rules.md").write_text(HOSTILE, "utf-8")
    (folder / HOSTILE_NAME).write_text("Yak wool is graded by hand.", "utf-8")
    added = run(found, "add", str(folder / "rules.md"), str(folder / HOSTILE_NAME))
    assert added.returncode == 0, added.stderr
    return found


@pytest.fixture(scope="module")
def server(env: dict[str, str]) -> Iterator[Served]:
    with served(env, *CHAT) as found:
        yield found


@pytest.fixture
def chat(browser: Browser, server: Served) -> Iterator[Chat]:
    with browser.open(server.url) as found:
        yield found


def words(text: str) -> str:
    """A text as a reader sees it: code marks and white space aside."""
    return " ".join(text.replace("`", "").split())


# Asking and reading


def test_each_number_shows_its_quote_and_opens_its_source(chat: Chat, assistant: Assistant) -> None:
    turn = chat.ask(LAW)
    answer = assistant.ask(LAW)
    assert [words(said) for said in turn.locator(".lead").all_inner_texts()] != []
    for citation in answer.citations:
        link = turn.locator(".cite", has_text=re.compile(f"^{citation.number}$")).first
        link.hover()
        quote = chat.page.locator("#quote")
        assert words(citation.quote) in words(quote.inner_text())
        assert link.get_attribute("aria-describedby") == "quote"
        link.click()
        source = chat.page.locator("#source")
        source.locator(".kicker", has_text=citation.locator).wait_for()
        chat.page.wait_for_function(
            """quote => [...document.querySelectorAll("#source mark")]
                .map(mark => mark.innerText).join("").replace(/[\\s`]/g, "") === quote""",
            arg=re.sub(r"[\s`]", "", citation.quote),
        )
        shown = source.inner_text()
        for fact in (citation.publisher, citation.title, citation.version, citation.date):
            assert fact in shown
        assert citation.jurisdiction in shown and citation.heading in shown
        assert ("In force from" in shown) == bool(citation.in_force_from)
        if citation.binding == "binding":
            assert source.locator(".badge").first.inner_text() == "Binding law"
        official = source.locator(".official")
        assert official.get_attribute("href") == citation.url
        assert "noopener" in official.get_attribute("rel")
    assert "Binding law" in chat.last.inner_text()


def test_the_source_shows_where_other_sources_say_the_same(chat: Chat) -> None:
    chat.ask("What does LLM05 say?").locator(".cite").first.click()
    rows = chat.page.locator("#source .rows .row")
    rows.first.wait_for()
    title = chat.page.locator("#source h2").inner_text()
    rows.first.click()
    chat.page.wait_for_function(
        "title => document.querySelector('#source h2').innerText !== title", arg=title
    )


def test_what_has_been_read_stays_where_it_is_while_the_answer_comes(chat: Chat) -> None:
    chat.page.evaluate(
        """() => {
            window.tops = new Set();
            new MutationObserver(() => {
                const lead = document.querySelector("#turns article .lead");
                if (lead) window.tops.add(lead.offsetTop);
            }).observe(document.querySelector("#turns"), { subtree: true, childList: true });
        }"""
    )
    chat.ask(LAW)
    assert chat.page.evaluate("window.tops.size") == 1
    moved = """() => {
        const lead = document.querySelector("article .lead"), before = lead.offsetTop;
        const waiting = Object.assign(document.createElement("p"), { className: "waiting" });
        waiting.textContent = "Reading the sources …";
        document.querySelector("article .read-as").replaceWith(waiting);
        return lead.offsetTop - before;
    }"""
    assert chat.page.evaluate(moved) == 0, "the line that waits is as high as what takes its place"


def test_the_phase_is_read_off_shown_and_corrected(chat: Chat, assistant: Assistant) -> None:
    read = assistant.ask(LOADING).phases
    title = assistant.corpus.taxonomy.phases[read[0]].title
    turn = chat.ask(LOADING)
    assert title in turn.locator(".read-as summary").inner_text()
    turn.locator(".read-as summary").click()
    choice = turn.locator(".read-as button", has_text="Evaluation")
    corrected = chat.turn(choice.click)
    assert "Evaluation" in corrected.locator(".read-as summary").inner_text()
    strip = chat.page.locator("#phase label:has(input)")
    assert strip.all_inner_texts() == [
        "Any",
        *(term.title for term in assistant.corpus.taxonomy.phases.values()),
    ]
    strip.filter(has_text="Deployment").click()
    chosen = chat.ask("What do we have to document?")
    assert "Deployment" in chosen.locator(".read-as summary").inner_text()


def test_filters_limit_what_is_cited_and_the_answer_says_so(chat: Chat) -> None:
    chat.page.get_by_role("button", name="Filters").click()
    chat.page.get_by_label("Kind").click()
    chat.page.get_by_role("option", name="law", exact=True).click()
    chat.page.keyboard.press("Escape")
    turn = chat.ask(LAW)
    assert "Limited to law" in turn.inner_text()
    badges = turn.locator(".references .badge").all_inner_texts()
    assert badges and set(badges) == {"Binding law"}


def test_an_abstention_looks_different_and_offers_what_is_covered(chat: Chat) -> None:
    turn = chat.ask("What does LLM37 say?")
    assert turn.get_attribute("data-state") == "abstained"
    assert "LLM01 to LLM10" in turn.locator(".abstained").inner_text()
    assert turn.locator(".lead").count() == 0
    topic = turn.locator(".topics button").first
    question = topic.inner_text()
    asked = chat.turn(topic.click)
    assert asked.locator("h2").inner_text() == question
    assert asked.get_attribute("data-state") == "answered"


def test_a_follow_up_is_read_in_context_and_a_new_conversation_is_not(chat: Chat) -> None:
    chat.ask(LOADING)
    followed = chat.ask("And what does the law say?")
    assert "checkpoint" in followed.locator(".meant").inner_text()
    chat.page.locator("[data-do=clear]").click()
    assert chat.page.locator("#turns article").count() == 0
    assert chat.ask("And what does the law say?").locator(".meant").count() == 0


def test_every_example_question_is_answered(chat: Chat, assistant: Assistant) -> None:
    for phase in ("", *assistant.corpus.taxonomy.phases):
        examples = chat.page.locator(f"[data-examples='{phase}'] [data-ask]")
        questions = [entry.get_attribute("data-ask") for entry in examples.all()]
        assert len(questions) >= 3
        for question in questions:
            assert assistant.ask(question).outcome == "answered", question
    chat.page.locator("#phase label:has(input)").nth(3).click()
    shown = chat.page.locator("[data-examples]:visible")
    assert shown.count() == 1
    asked = chat.turn(shown.locator("button").first.click)
    assert asked.get_attribute("data-state") == "answered"


# Taking away


def test_an_answer_is_copied_and_a_conversation_exported(chat: Chat) -> None:
    turn = chat.ask(LOADING)
    copied = chat.copied(turn.locator("[data-do=copy]").click)
    assert copied.startswith(f"## {LOADING}") and "### Sources" in copied and "[1]" in copied
    chat.ask("What does LLM37 say?")
    exported = chat.page.locator("#exports")
    markdown = chat.download(exported.get_by_role("button", name="Markdown").click)
    assert markdown.startswith(copied) and "## What does LLM37 say?" in markdown
    data = json.loads(chat.download(exported.get_by_role("button", name="JSON").click))
    assert [entry["answer"]["outcome"] for entry in data["turns"]] == ["answered", "abstained"]
    assert data["turns"][0]["answer"]["citations"][0]["quote"]
    html = chat.download(exported.get_by_role("button", name="HTML").click)
    assert LOADING in html and "<script" not in html and "<button" not in html
    assert 'rel="noopener noreferrer"' in html


def test_a_link_reproduces_an_answer_and_says_if_the_corpus_changed(
    chat: Chat, browser: Browser
) -> None:
    chat.ask(LOADING)
    turn = chat.ask("Are there any incidents?")
    link = chat.copied(turn.locator("[data-do=link]").click)
    said = turn.locator(".said, .lead").all_inner_texts()
    assert said
    with browser.open(link) as other:
        other.page.locator("#turns article:not([aria-busy])").wait_for()
        assert other.last.locator(".said, .lead").all_inner_texts() == said
        assert "corpus" not in other.last.inner_text()
    with browser.open(re.sub(r"corpus=[^&]+", "corpus=2025-01-01-old", link)) as other:
        other.page.locator("#turns article:not([aria-busy])").wait_for()
        assert "made with corpus 2025-01-01-old" in other.last.inner_text()


def test_feedback_is_kept_and_exported_as_eval_questions(chat: Chat, env: dict[str, str]) -> None:
    turn = chat.ask(LOADING)
    turn.locator("[data-do=up]").click()
    turn.locator("form.feedback textarea").fill("To the point <b>")
    turn.locator("form.feedback button").click()
    turn.locator("form.feedback", has_text="it is kept").wait_for()
    turn.locator("[data-do=down]").click()
    turn.locator("form.feedback button").click()
    turn.locator("form.feedback", has_text="it is kept").wait_for()
    exported = run(env, "feedback", "export")
    question = json.loads(exported.stdout)
    assert question["question"] == LOADING and question["basis"] == "To the point <b>"
    assert question["gold"][0]["grade"] == 2
    assert "1 answers were not helpful" in exported.stderr


# The checklist and the knowledge


def test_a_checklist_is_ticked_noted_kept_and_exported(chat: Chat) -> None:
    chat.tab("Checklist")
    chat.page.locator("#checklist-phase label:has(input)").filter(has_text="Deployment").click()
    items = chat.page.locator(".checklist li[data-key]")
    items.first.wait_for()
    said = items.first.locator("label").inner_text()
    items.first.locator("input").check()
    items.nth(1).locator("summary").click()
    items.nth(1).locator("textarea").fill("Ask <legal>\nby Friday")
    assert chat.page.locator(".progress").inner_text().startswith("1 of ")
    items.nth(2).locator(".cite").first.click()
    chat.page.locator("#source mark").first.wait_for()
    chat.page.reload()
    chat.page.locator("#question textarea").wait_for()
    chat.page.wait_for_function("page.started")
    chat.tab("Checklist")
    chat.page.locator("#checklist-phase label:has(input)").filter(has_text="Deployment").click()
    items.first.wait_for()
    assert items.first.locator("input").is_checked()
    assert items.nth(1).locator("textarea").input_value() == "Ask <legal>\nby Friday"
    markdown = chat.download(chat.page.get_by_role("button", name="Export as Markdown").click)
    first = next(line for line in markdown.splitlines() if line.startswith("- ["))
    assert first.startswith("- [x] ") and words(said).removeprefix("Law ")[:20] in words(first)
    assert "  > Ask <legal>\n  > by Friday" in markdown and "## Sources" in markdown
    before = chat.page.locator(".neighbours", has_text="Before this").locator("button")
    after = chat.page.locator(".neighbours", has_text="Next").locator("button")
    assert (before.count(), after.count()) == (5, 1)
    after.first.click()
    chat.page.locator(".checklist[data-phase=maintenance]").wait_for()
    assert "1 done" in chat.page.locator(".neighbours", has_text="Deployment").inner_text()


def test_the_knowledge_can_be_walked_through_and_searched(chat: Chat, assistant: Assistant) -> None:
    chat.tab("Knowledge")
    cells = chat.page.locator(".heat button")
    matrix = assistant.coverage()
    assert cells.count() == sum(bool(count) for row in matrix.values() for count in row.values())
    count = cells.first.inner_text()
    cells.first.click()
    chat.page.locator("#knowledge-view h2", has_text=f"({count})").wait_for()
    rows = chat.page.locator("#knowledge-view .row")
    assert rows.count() == int(count)
    locator = rows.first.locator(".locator").inner_text()
    rows.first.click()
    chat.page.locator("#source .kicker", has_text=locator).wait_for()
    chat.page.get_by_role("button", name="All knowledge").click()
    chat.page.locator("[data-view^='read/source?id=eu-gdpr']").click()
    chat.page.locator("#knowledge-view h2", has_text="General Data Protection").wait_for()
    chat.page.locator("#search-words textarea").fill("LLM05")
    chat.page.keyboard.press("Enter")
    chat.page.locator("#knowledge-view h2", has_text="Nearest to").wait_for()
    assert rows.first.locator(".locator").inner_text() == "LLM05:2025"


# Keyboard, size, colours, screen readers


def test_everything_is_reached_by_keyboard(chat: Chat) -> None:
    press = chat.page.keyboard.press
    press("/")
    chat.page.keyboard.type(LOADING)
    turn = chat.turn(lambda: press("Enter"))
    chat.page.locator("#spoken", has_text="citations").wait_for(state="attached")
    chat.page.evaluate("document.activeElement.blur()")
    press("2")
    source = chat.page.locator("#source.open")
    source.locator("#place", has_text="Source 2").wait_for()
    source.locator("mark").first.wait_for()
    assert chat.page.evaluate("document.activeElement.closest('#source') !== null")
    press("n")
    source.locator("#place", has_text="Source 3").wait_for()
    press("p")
    source.locator("#place", has_text="Source 2").wait_for()
    press("Escape")
    assert chat.page.locator("#source.open").count() == 0
    chat.page.wait_for_function("document.activeElement.className.includes('cite')")
    assert chat.copied(lambda: press("c")).startswith("## ")
    press("?")
    assert "next, previous source" in chat.page.locator("#help").inner_text()
    press("Escape")
    assert not chat.page.locator("#help").is_visible()
    press("d")
    assert chat.page.evaluate("document.body.classList.contains('dark')")
    turn.locator("h2").click()
    seen = []
    for _ in range(4):
        press("Tab")
        seen.append(chat.page.evaluate("document.activeElement.textContent.trim()"))
    assert seen[1:] == ["1", "2", "3"]


@pytest.mark.parametrize("width", [640, 320], ids=["twice the size", "a small phone"])
def test_nothing_is_cut_off_when_narrow_or_enlarged(
    browser: Browser, server: Served, width: int
) -> None:
    with browser.open(server.url, viewport={"width": width, "height": 430}) as chat:
        fits = "document.documentElement.scrollWidth <= innerWidth"
        turn = chat.ask(LOADING)
        assert chat.page.evaluate(fits)
        turn.locator(".cite").first.click()
        chat.page.locator("#source mark").first.wait_for()
        box = chat.page.locator("#source").bounding_box()
        assert box["x"] == 0 and box["width"] == width, "the source is a sheet over the page"
        press = chat.page.keyboard.press
        press("Escape")
        for name in ("Checklist", "Knowledge", "Documents"):
            chat.tab(name)
            assert chat.page.evaluate(fits), name


@pytest.mark.parametrize(
    "options",
    [DESK, {**DESK, "color_scheme": "dark"}, PHONE],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing_serious(
    browser: Browser, server: Served, options: dict[str, Any]
) -> None:
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    # Dark is the same page in other colours.
    rules = ["color-contrast"] if "color_scheme" in options else tags
    found = {}

    def look(chat: Chat, where: str) -> None:
        result = chat.page.evaluate(
            "only => axe.run(document, { resultTypes: ['violations'], runOnly: only })", rules
        )
        for entry in result["violations"]:
            if entry["impact"] in ("serious", "critical"):
                found[f"{where}: {entry['id']}"] = [node["html"] for node in entry["nodes"]][:3]

    with browser.open(server.url, **options) as chat:
        chat.page.evaluate(AXE)
        look(chat, "start")
        chat.ask("What does LLM37 say?")
        chat.ask(LAW).locator(".cite").first.click()
        chat.page.locator("#source mark").first.wait_for()
        chat.last.locator("[data-do=down]").click(force=True)
        look(chat, "answer")
        chat.page.keyboard.press("Escape")
        chat.page.locator("#source [data-do=close]").evaluate("it => it.click()")
        chat.tab("Checklist")
        chat.page.locator("#checklist-phase label:has(input)").first.click()
        chat.page.locator(".checklist li").first.wait_for()
        look(chat, "checklist")
        chat.tab("Knowledge")
        look(chat, "knowledge")
        chat.page.locator("[data-do=help]").click()
        look(chat, "help")
    assert found == {}


# What it must stand


def test_hostile_text_comes_out_as_text(chat: Chat, server: Served) -> None:
    hostile = '<img src=x onerror="window.hacked=9"> ![](http://198.51.100.2/q.png) LLM37?'
    turn = chat.ask(hostile)
    assert turn.locator("h2").inner_text() == hostile
    turn = chat.ask("How often must zebra gateway keys be rotated?")
    assert "<script>window.hacked = 3</script>" in words(turn.inner_text())
    turn.locator(".cite").first.hover()
    assert "<script>" in chat.page.locator("#quote").inner_text()
    turn.locator(".cite").first.click()
    chat.page.locator("#source mark").first.wait_for()
    assert "![Acme](http://198.51.100.1" in words(chat.page.locator("#source").inner_text())
    assert "Your own rule" in chat.page.locator("#source").inner_text()
    chat.tab("Knowledge")
    chat.page.get_by_role("button", name="Hostile rules").click()
    chat.page.locator("#knowledge-view h2", has_text="Hostile rules").wait_for()
    chat.page.get_by_role("button", name="All knowledge").click()
    chat.page.get_by_role("button", name=HOSTILE_NAME.removesuffix(".txt")).click()
    chat.page.locator("#knowledge-view h2", has_text="<img src=x").wait_for()
    assert chat.page.evaluate("window.hacked") is None
    assert chat.page.locator("#turns img, #source img, #knowledge-view img").count() == 0
    assert chat.page.locator("a[href^='javascript:' i]").count() == 0
    assert chat.page.locator("#turns script, #source script, #knowledge-view script").count() == 0


def test_two_browsers_share_nothing(browser: Browser, server: Served, chat: Chat) -> None:
    chat.ask(LOADING)
    with browser.open(server.url) as other:
        assert other.page.locator("#turns article").count() == 0
        alone = other.ask("And what does the law say?")
        assert alone.locator(".meant").count() == 0
        mine = chat.ask("And what does the law say?")
        assert "checkpoint" in mine.locator(".meant").inner_text()
        assert other.page.locator("#turns article").count() == 1
    assert chat.page.locator("#turns article").count() == 2


def test_twenty_people_at_once_get_their_own_answers(server: Served, assistant: Assistant) -> None:
    asked = all_at_once(f"{server.url}", PEOPLE, 2)
    assert len(asked) == 2 * PEOPLE
    own: dict[str, Any] = {}
    for question, piece, _ in asked:
        if question not in own:
            own[question] = [entry.text for entry in assistant.ask(question).statements]
        assert piece["answer"]["question"] == question
        assert [entry["text"] for entry in piece["answer"]["statements"]] == own[question]


def test_too_long_a_question_is_refused_with_a_sentence(chat: Chat) -> None:
    turn = chat.ask("How safe is this? " * 200)
    assert "at most 2,000" in turn.locator(".refused").inner_text()


def test_the_page_is_not_framed_uploaded_to_or_shared(server: Served) -> None:
    found = httpx.get(server.url)
    assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
    upload = httpx.post(f"{server.url}gradio_api/upload", files={"files": b"x"})
    assert upload.status_code == 404
    foreign = httpx.get(server.url, headers={"Host": "evil.example"})
    assert foreign.status_code == 421


def test_a_missing_index_is_built_while_the_page_says_so(browser: Browser, tmp_path: Path) -> None:
    cache = with_model(tmp_path / "cache")
    found = environment(SMALL, cache, XDG_DATA_HOME=str(tmp_path))
    with filelock.FileLock(cache / "build.lock") as lock, served(found, *CHAT) as server:
        context = browser.chromium.new_context(**DESK)
        page = context.new_page()
        page.goto(server.url)
        page.locator("#opening", has_text="The index").wait_for()
        page.locator("#opening progress").wait_for()
        page.locator("#question textarea").fill("Is it safe to load a pickle checkpoint?")
        page.keyboard.press("Enter")
        page.locator("#turns .waiting", has_text="The index").wait_for()
        page.get_by_role("tab", name="Documents").click()
        page.locator("#documents-view .refused", has_text="The index").wait_for()
        lock.release()
        page.locator("#documents-view h2").wait_for(timeout=60_000)
        page.get_by_role("tab", name="Ask").click()
        page.locator("#turns article[data-state=answered]").wait_for(timeout=60_000)
        page.locator("#opening").wait_for(state="hidden")
        context.close()


NGINX = """
daemon off; error_log stderr error; pid {folder}/pid; events {{}}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location /safety/ {{
      proxy_pass {target};
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_behind_a_proxy_with_a_prefix_an_account_and_a_limit(
    browser: Browser, env: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    public = f"http://127.0.0.1:{port}/safety/"
    accounts = {**env, "SAFETY_ASSISTANT_AUTH": "anna:correct horse"}
    limited = ("chat", "--no-browser", "--per-minute", "30", "--public-url", public)
    with served(accounts, *limited) as server:
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(folder=tmp_path, port=port, target=server.url))
        command = ["nginx", "-p", str(tmp_path), "-c", str(config)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as nginx:
            try:
                anna = {"username": "anna", "password": "correct horse"}
                with browser.open(public, http_credentials=anna) as chat:
                    chat.ask(LOADING).locator(".cite").first.click()
                    chat.page.locator("#source mark").first.wait_for()
                    link = chat.copied(chat.last.locator("[data-do=link]").click)
                    assert link.startswith(f"{public}?q=")
                    served_to_others = httpx.Client(base_url=public, auth=tuple(anna.values()))
                    with served_to_others as others:
                        assert "not added or removed on it" in others.get("config").text
                        refused = others.put("documents/refresh")
                        assert refused.status_code == 403 and "--documents" in refused.text
                        add = f"{server.url}documents/add?name=a.md"
                        large = others.put(add, content=b" " * 300_000)
                        assert large.status_code == 413, "no file is even taken in"
                    assert httpx.get(public).status_code == 401
                    assert httpx.get(public, auth=("anna", "wrong")).status_code == 401
                    while httpx.get(public, auth=("anna", "correct horse")).status_code == 200:
                        pass
                    asked = threading.Event()

                    def spend() -> None:
                        """What the limit grants again, so that none is left to ask with."""
                        while not asked.is_set():
                            httpx.get(public, auth=("anna", "correct horse"))

                    with ThreadPoolExecutor(1) as pool:
                        pool.submit(spend)
                        try:
                            turn = chat.ask("What does LLM05 say?")
                        finally:
                            asked.set()
                    refused = turn.locator(".refused").inner_text()
                    assert "More than 30 requests a minute. Wait" in refused
            finally:
                nginx.terminate()
        assert "correct horse" not in "".join(server.errors)


@pytest.mark.parametrize("headers", [{"retry-after": "1"}, {"retry-after": "soon"}, {}], ids=str)
def test_an_answer_comes_though_the_limit_refused_its_stream_at_first(
    browser: Browser, env: dict[str, str], headers: dict[str, str]
) -> None:
    """The question itself was taken, so that nothing else would ever end its turn."""
    refused: list[float] = []

    def refuse_twice(route: Any) -> None:
        if len(refused) == 2:
            route.continue_()
        else:
            refused.append(time.monotonic())
            route.fulfill(status=429, headers=headers, json={"error": "Wait 1 s."})

    with served(env, *CHAT) as server, browser.open(server.url) as chat:
        chat.page.route("**/queue/data*", refuse_twice)
        assert chat.ask(LOADING).locator(".cite").count()
        assert chat.ask("What does LLM05 say?").locator(".cite").count()
        first, second = refused
        assert second - first > 0.5, "it waits before it asks again"


def test_ctrl_c_ends_it_while_a_page_is_open(browser: Browser, env: dict[str, str]) -> None:
    with served(env, *CHAT) as server, browser.open(server.url) as chat:
        chat.ask("What does LLM05 say?")
        assert browser.errors == []
        status = server.stop(signal.SIGINT)
        assert status == 0
        assert "Traceback" not in "".join(server.errors), server.errors
        chat.page.locator("#question textarea").fill("Still there?")
        turn = chat.turn(lambda: chat.page.keyboard.press("Enter"))
        assert "does not answer" in turn.locator(".refused").inner_text()
        # Gradio's own calls, which nobody waits for, may fail now as well.
        browser.errors[:] = [error for error in browser.errors if error != "Failed to fetch"]


def test_a_port_in_use_and_an_open_address_name_the_remedy(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        taken = run(env, "chat", "--no-browser", "--port", str(bound.getsockname()[1]))
    assert taken.returncode == 1 and "--port" in taken.stderr and "Traceback" not in taken.stderr
    shared = run(env, "chat", "--no-browser", "--host", "0.0.0.0", "--port", "0")
    assert shared.returncode == 1 and "--auth" in shared.stderr


def test_no_request_left_this_machine(browser: Browser, chat: Chat) -> None:
    """Of all that the tests before did, the hostile ones included."""
    chat.ask(LOADING)
    called = [url for url in browser.called if not url.startswith(("data:", "blob:"))]
    assert {urlsplit(url).hostname for url in called} == {"127.0.0.1"}
