"""The chat page in headless Chromium while a scripted language model writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import TIMEOUT_S
from tests.servers import served
from tests.test_page import CHAT, Browser, Chat, browser
from tests.test_surfaces import QUESTION, UNBORNE, Setting, configured, told

__all__ = ["browser", "configured", "told"]


@pytest.fixture(scope="module")
def url(configured: Setting) -> Iterator[str]:
    """A page whose answers a model writes."""
    with served(configured.env, *CHAT) as server:
        yield server.url


@pytest.fixture
def chat(browser: Browser, url: str) -> Iterator[Chat]:
    with browser.open(url) as found:
        yield found


def begin(chat: Chat, told: Setting) -> None:
    """Ask, and wait until the first sentence is shown, which is the only one then."""
    chat.page.locator("#question textarea").fill(QUESTION)
    chat.page.keyboard.press("Enter")
    chat.page.locator("#turns article .lead").wait_for()
    first, second = told.model.sentences
    assert first in chat.last.inner_text() and second not in chat.last.inner_text()


def finished(chat: Chat) -> str:
    """The last turn as text, when it is over."""
    chat.page.locator("#turns article:not([aria-busy])").last.wait_for()
    assert chat.last.locator(".stop").count() == 0
    return str(chat.last.inner_text())


def test_sentences_appear_one_by_one_and_what_was_withheld_is_counted(
    chat: Chat, told: Setting
) -> None:
    assert "answers written by openai:scripted and checked" in chat.page.inner_text("#top")
    begin(chat, told)
    told.model.go_on.set()
    shown = finished(chat)
    assert all(sentence in shown for sentence in told.model.sentences) and UNBORNE not in shown
    assert "Withheld of what the language model wrote: 1." in shown
    assert "Written by openai:scripted and checked" in shown


def test_stop_ends_the_request_and_keeps_what_has_passed(chat: Chat, told: Setting) -> None:
    told.model.hangs = True
    begin(chat, told)
    assert not told.server.gone.is_set()
    chat.last.locator(".stop").click()
    assert told.server.gone.wait(TIMEOUT_S), "the request went on"
    shown = finished(chat)
    assert shown.index(told.model.sentences[0]) < shown.index("The language model was stopped.")


def test_leaving_the_page_ends_the_request(browser: Browser, url: str, told: Setting) -> None:
    told.model.hangs = True
    with browser.open(url) as chat:
        begin(chat, told)
        chat.page.goto("about:blank")
        assert told.server.gone.wait(TIMEOUT_S), "the request went on"


def test_a_model_that_fails_leaves_the_sources(chat: Chat, told: Setting) -> None:
    told.model.fails = True
    shown = chat.ask(QUESTION).inner_text()
    assert "The language model refused the key" in shown and "Sources" in shown
