"""Asynchronous use: the loop runs on meanwhile, calls are bounded, cancelling and closing are clean."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assistant import (
    Answer,
    Assistant,
    AssistantClosed,
    AsyncAssistant,
    IndexMissing,
    QuestionError,
    Settings,
    load_settings,
)
from tests.conftest import SMALL, TIMEOUT_S, Gate, gated
from tests.test_api import CHECKPOINT, EIGHT, plain, settles
from tests.test_cli import with_model

PICKLE = "Is it safe to load a pickle checkpoint?"


def own_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("safety-assistant")]


def test_it_has_the_methods_of_an_assistant_with_their_signatures() -> None:
    names = {
        name
        for name, value in vars(Assistant).items()
        if callable(value) and not name.startswith("_")
    }
    assert names - {"close"} <= set(vars(AsyncAssistant))
    for name in names - {"close", "open"}:
        method = getattr(AsyncAssistant, name)
        assert inspect.signature(method) == inspect.signature(getattr(Assistant, name))
        assert method.__doc__ == getattr(Assistant, name).__doc__
        assert inspect.iscoroutinefunction(method) == (name != "stream")
    own, other = (inspect.signature(kind.open).parameters for kind in (AsyncAssistant, Assistant))
    assert {name: own[name] for name in other} == dict(other)


def test_every_call_gives_what_the_assistant_gives(assistant: Assistant) -> None:
    async def use() -> None:
        async with await AsyncAssistant.open(Settings(), build=False) as opened:
            answers = await asyncio.gather(*map(opened.ask, EIGHT))
            assert list(map(plain, answers)) == [plain(assistant.ask(text)) for text in EIGHT]
            pieces = [piece async for piece in opened.stream(CHECKPOINT, phase="model-selection")]
            assert pieces == list(assistant.stream(CHECKPOINT, phase="model-selection"))
            assert isinstance(pieces[-1], Answer) and len(pieces) > 1
            assert await opened.search("pickle", 3) == assistant.search("pickle", 3)
            concerns = ["bias"]
            checklist = await opened.checklist("evaluation", concerns, per_concern=1)
            assert checklist == assistant.checklist("evaluation", concerns, per_concern=1)
            (provision,) = await opened.provision("LLM05:2025")
            assert [provision] == assistant.provision("LLM05:2025")
            assert await opened.related(provision) == assistant.related(provision) != ()
            assert await opened.sources() == assistant.sources()
            assert await opened.document("eu-ai-act") == assistant.document("eu-ai-act")

    asyncio.run(use())


def test_errors_are_those_of_the_assistant(hashed: Settings, tmp_path: Path) -> None:
    async def use() -> None:
        with pytest.raises(IndexMissing):
            cache = with_model(tmp_path / "empty")
            await AsyncAssistant.open(load_settings(corpus=SMALL, cache=cache), build=False)
        async with AsyncAssistant(gated(hashed, Gate())) as opened:
            with pytest.raises(QuestionError, match="empty"):
                await opened.ask("")
            with pytest.raises(QuestionError, match="Unknown phase 'moon'"):
                await anext(opened.stream(PICKLE, phase="moon"))

    asyncio.run(use())


def test_the_loop_runs_on_and_calls_beyond_the_bound_wait(hashed: Settings) -> None:
    gate = Gate()

    async def use() -> list[Answer]:
        async with AsyncAssistant(gated(hashed, gate), workers=2) as opened:
            tasks = [asyncio.create_task(opened.ask(f"{PICKLE} {n}")) for n in range(8)]
            await gate.wait(2)
            gate.opened.set()  # by the loop itself, which could not if a call blocked it
            return await asyncio.gather(*tasks)

    answers = asyncio.run(use())
    assert gate.most == 2
    assert [answer.question for answer in answers] == [f"{PICKLE} {n}" for n in range(8)]


def test_a_cancelled_call_ends_at_once_and_leaves_the_rest_as_it_was(hashed: Settings) -> None:
    gate = Gate()

    async def use() -> None:
        async with AsyncAssistant(gated(hashed, gate), workers=1) as opened:
            running = asyncio.create_task(opened.ask(f"{PICKLE} running"))
            await gate.wait()
            queued = asyncio.create_task(opened.ask(f"{PICKLE} queued"))
            await asyncio.sleep(0)
            for task in (running, queued):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await opened.ask(f"{PICKLE} late")
            gate.opened.set()
            assert (await opened.ask(PICKLE)).question == PICKLE

    asyncio.run(use())
    assert {text.rpartition(" ")[2] for text in gate.embedded} == {"running", "checkpoint?"}


def test_a_stream_that_is_left_early_leaves_nothing_behind(hashed: Settings) -> None:
    gate = Gate()
    gate.opened.set()

    async def use() -> None:
        async with AsyncAssistant(gated(hashed, gate)) as opened:
            async for _ in opened.stream("EX01"):
                break
            assert (await opened.ask("EX01")).outcome == "answered"

    asyncio.run(use())
    assert settles(lambda: own_threads() == [])


def test_closing_lets_calls_end_and_refuses_new_ones(hashed: Settings) -> None:
    gate = Gate()

    async def use() -> None:
        opened = AsyncAssistant(gated(hashed, gate))
        asked = asyncio.create_task(opened.ask(PICKLE))
        await gate.wait()
        closing = asyncio.create_task(opened.aclose())
        await asyncio.sleep(0)
        with pytest.raises(AssistantClosed, match="Open one with"):
            await opened.ask(PICKLE)
        gate.opened.set()
        assert (await asked).question == PICKLE
        await closing
        await opened.aclose()

    asyncio.run(use())


def test_an_opening_that_is_cancelled_is_closed_again(
    hashed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    made: list[Assistant] = []

    def slow(*_: object, **__: object) -> Assistant:
        begun.set()
        assert go_on.wait(TIMEOUT_S)
        made.append(gated(hashed, Gate()))
        return made[0]

    monkeypatch.setattr(Assistant, "open", slow)

    async def use() -> None:
        task = asyncio.create_task(AsyncAssistant.open(hashed))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(use())
    go_on.set()
    assert settles(lambda: own_threads() == [])
    with pytest.raises(AssistantClosed):
        made[0].ask(PICKLE)


def test_opening_and_closing_leaves_no_thread(tmp_path: Path) -> None:
    """Nor a file, as tests/test_api.py shows for what is opened."""
    settings = load_settings(corpus=SMALL, cache=with_model(tmp_path / "cache"))

    async def once() -> None:
        async with await AsyncAssistant.open(settings) as opened:
            assert (await opened.ask("EX01")).outcome == "answered"
            assert own_threads()

    for _ in range(3):
        asyncio.run(once())
        assert settles(lambda: own_threads() == [])


def test_it_runs_in_a_loop_of_any_thread(hashed: Settings) -> None:
    """As an editor has it: a loop of its own beside the main thread."""
    gate = Gate()
    gate.opened.set()

    async def use() -> str:
        async with AsyncAssistant(gated(hashed, gate)) as opened:
            return (await opened.ask("EX01")).outcome

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: asyncio.run(use()), range(8))) == ["answered"] * 8
