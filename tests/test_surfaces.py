"""Every surface with a language model: streamed, checked, stopped, and whole when the model fails.

Real processes, and a scripted server on loopback that speaks the OpenAI protocol.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from mcp import Client

from assistant import Answer, Assistant, AsyncAssistant, Said, load_settings
from evals.openai_server import DONE, OpenAIServer, Request, Response, event
from tests.conftest import ROOT, SMALL, TIMEOUT_S
from tests.servers import TOKEN, Served, served
from tests.test_cli import PROGRAM, environment, run, with_model
from tests.test_mcp import over_http, over_stdio

QUESTION = "What does EX01 say?"
UNBORNE = "Every model hub scans all uploads with three independent scanners."
OWN_TERMINAL = """
import os, sys
os.login_tty(0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Begins a session whose terminal is standard input, so that Ctrl-C typed there is a signal."""


class Paced:
    """A model that writes a first sentence, waits, writes one that is not borne, and a last one.

    hangs: it never comes to the sentences after the first. fails: it refuses the key. begun: it was
    asked. go_on: what it waits for. sentences: those that are borne.
    """

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.hangs = self.fails = False
        self.sentences: list[str] = []

    def __call__(self, request: Request) -> Response:
        if self.fails:
            return Response(401)
        if request.repairs:
            return Response(pieces=[event("NOTHING"), DONE])
        first, second = request.passages[:2]
        self.sentences = [first["text"], second["text"]]
        self.begun.set()
        begun = event(f"{first['text']} [{first['key']}]\n")
        if self.hangs:
            return Response(pieces=[begun], end="hang")
        return Response(pieces=self._paced(begun, second))

    def _paced(self, begun: bytes, second: dict[str, str]) -> Iterator[bytes]:
        yield begun
        assert self.go_on.wait(TIMEOUT_S), "nobody saw the first sentence"
        yield event(f"{UNBORNE} [{second['key']}]\n{second['text']} [{second['key']}]\n")
        yield DONE


@dataclass
class Setting:
    """The scripted server, the model behind it, and an environment in which it is configured."""

    server: OpenAIServer
    model: Paced
    env: dict[str, str] = field(repr=False)

    def plain(self) -> dict[str, Any]:
        """The answer without a model."""
        env = {**self.env, "SAFETY_ASSISTANT_MODEL": "none"}
        return json_of(run(env, "ask", QUESTION, "--json").stdout)

    def written(self, answer: dict[str, Any]) -> None:
        """The answer is the model's, less what its passages do not bear."""
        assert [entry["text"] for entry in answer["statements"]] == self.model.sentences
        assert (answer["model"], answer["withheld"]) == ("openai:scripted", 1)

    def extracted(self, answer: dict[str, Any]) -> None:
        """The answer is that of the sources, and says why."""
        assert answer["statements"] == self.plain()["statements"]
        assert (answer["model"], answer["outcome"]) == (None, "answered")
        assert answer["note"].startswith("The language model refused the key")


def json_of(text: str) -> Any:
    return json.loads(text)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """The small corpus, indexed with the real model, and a language model in the settings."""
    env = environment(SMALL, with_model(tmp_path_factory.mktemp("cache")))
    assert run(env, "index", "build").returncode == 0
    model = Paced()
    with OpenAIServer(model) as server:
        model_settings = {
            "SAFETY_ASSISTANT_MODEL": "openai:scripted",
            "SAFETY_ASSISTANT_MODEL_BASE_URL": server.url,
            "SAFETY_ASSISTANT_MODEL_TIMEOUT_S": str(TIMEOUT_S),
        }
        yield Setting(server, model, {**env, **model_settings})


@pytest.fixture
def told(configured: Setting) -> Setting:
    """The same, with nothing asked and nothing said yet."""
    server, model = configured.server, Paced()
    server.script, server.requests = model, []
    server.gone.clear()
    return Setting(server, model, configured.env)


# The command line


@dataclass
class Terminal:
    """A program at a pseudo-terminal that is its own: what it has shown, and the keys pressed."""

    process: subprocess.Popen[bytes]
    ours: int
    shown: str = ""

    def until(self, text: str) -> None:
        """Read on until a text is shown, whatever the line breaks."""
        while words(text) not in words(self.shown):
            self.shown += os.read(self.ours, 65536).decode(errors="replace")

    def until_first(self, told: Setting) -> None:
        """Read on until the first sentence is shown, and see that it is the only one yet."""
        assert told.model.begun.wait(TIMEOUT_S)
        self.until(told.model.sentences[0])
        assert words(told.model.sentences[1]) not in words(self.shown)

    def rest(self) -> int:
        """Read to the end; the exit status."""
        try:
            while data := os.read(self.ours, 65536):
                self.shown += data.decode(errors="replace")
        except OSError:
            pass
        return self.process.wait(TIMEOUT_S)


def words(shown: str) -> str:
    return "".join(re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown).split())


@contextmanager
def terminal(env: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", OWN_TERMINAL, *PROGRAM[1:], *arguments]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**env, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait(TIMEOUT_S)
        os.close(ours)


def test_a_terminal_shows_each_sentence_when_it_has_passed(told: Setting) -> None:
    with terminal(told.env, "ask", QUESTION) as person:
        person.until("The language model writes …")
        person.until_first(told)
        told.model.go_on.set()
        assert person.rest() == 0
    assert words(UNBORNE) not in words(person.shown)
    assert words("written by openai:scripted and checked") in words(person.shown)


def test_ctrl_c_ends_the_request_with_one_line(told: Setting) -> None:
    told.model.hangs = True
    with terminal(told.env, "ask", QUESTION) as person:
        person.until_first(told)
        assert not told.server.gone.is_set()
        os.write(person.ours, b"\x03")
        assert told.server.gone.wait(TIMEOUT_S), "the request went on"
        assert person.rest() == 130
    left = person.shown.rpartition("\x1b[2K")[2]  # What was not erased from the screen again.
    assert left.replace("\x1b[?25h", "").strip() == (
        "Interrupted. What was finished is kept; run the same command to go on."
    )


def test_a_talk_at_a_terminal_streams_too(told: Setting) -> None:
    with terminal(told.env, "talk") as person:
        person.until("? ")
        os.write(person.ours, f"{QUESTION}\n".encode())
        person.until_first(told)
        told.model.go_on.set()
        person.until("written by openai:scripted and checked")
        os.write(person.ours, b"\n")
        assert person.rest() == 0


def test_json_lines_come_one_by_one(told: Setting) -> None:
    with subprocess.Popen(
        [*PROGRAM, "ask", QUESTION, "--jsonl"], cwd=ROOT, env=told.env, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert not told.model.go_on.is_set()
        told.model.go_on.set()
        rest = [json.loads(line) for line in process.stdout]
    *said, answer = [first, *rest]
    assert [entry["statement"] for entry in said] == answer["statements"]
    assert [c for entry in said for c in entry["citations"]] == answer["citations"]
    told.written(answer)


@pytest.mark.parametrize("form", ["--json", "--jsonl"])
def test_ctrl_c_ends_the_request_of_a_piped_answer_too(told: Setting, form: str) -> None:
    told.model.hangs = True
    with subprocess.Popen(
        [*PROGRAM, "ask", QUESTION, form],
        cwd=ROOT,
        env=told.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert told.model.begun.wait(TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        assert told.server.gone.wait(TIMEOUT_S), "the request went on"
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert said == "Interrupted. What was finished is kept; run the same command to go on.\n"


def test_json_lines_without_a_model_have_the_same_form(told: Setting) -> None:
    done = run(told.env, "ask", QUESTION, "--jsonl", "--model", "none")
    *said, answer = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["statement"] for entry in said] == answer["statements"]
    assert (len(said) > 2, answer["model"], told.server.requests) == (True, None, [])


def test_the_command_gives_the_sources_where_the_model_fails(told: Setting) -> None:
    told.model.fails = True
    done = run(told.env, "ask", QUESTION, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told.extracted(json.loads(done.stdout))


# Python


def test_a_thread_that_waits_for_a_model_is_stopped(told: Setting, assistant: Assistant) -> None:
    told.model.hangs = True
    stop = threading.Event()
    with Assistant.open(own_settings(told)) as opened:
        pieces = opened.stream(QUESTION, stop=stop)
        first = next(pieces)
        assert isinstance(first, Said)
        stop.set()
        *_, answer = pieces
    assert told.server.gone.wait(TIMEOUT_S), "the request went on"
    assert isinstance(answer, Answer)
    assert answer.note.startswith("The language model was stopped.")
    assert answer.statements[0] == first.statement


def own_settings(told: Setting) -> Any:
    return load_settings(
        corpus=told.env["SAFETY_ASSISTANT_CORPUS"],
        cache=told.env["SAFETY_ASSISTANT_CACHE"],
        model="openai:scripted",
        model_base_url=told.server.url,
        model_timeout_s=TIMEOUT_S,
    )


@pytest.mark.parametrize("streams", [False, True], ids=["ask", "stream"])
def test_a_task_that_waits_for_a_model_is_cancelled(told: Setting, streams: bool) -> None:
    told.model.hangs = True

    async def read(pieces: AsyncIterator[Said | Answer]) -> None:
        async for _ in pieces:
            pass

    async def main() -> None:
        async with await AsyncAssistant.open(own_settings(told)) as opened:
            asking = read(opened.stream(QUESTION)) if streams else opened.ask(QUESTION)
            task = asyncio.create_task(asking)  # type: ignore[arg-type]
            await asked(told)
            task.cancel()
            assert await asyncio.to_thread(told.server.gone.wait, TIMEOUT_S)
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


async def asked(told: Setting) -> None:
    """Until the model has been asked."""
    assert await asyncio.to_thread(told.model.begun.wait, TIMEOUT_S)


# HTTP


@pytest.fixture(scope="module")
def service(configured: Setting) -> Iterator[Served]:
    with served(configured.env, "serve", "--per-minute", "100000") as server:
        with httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client:
            while client.get("/readyz").status_code == 503:
                pass
        yield server


@contextmanager
def events(service: Served) -> Iterator[Iterator[tuple[str, Any]]]:
    """The events of an answer: name and data."""
    with (
        httpx.Client(base_url=service.url, timeout=TIMEOUT_S) as client,
        client.stream("POST", "/v1/stream", json={"question": QUESTION}) as found,
    ):
        lines = found.iter_lines()
        yield (
            (line.removeprefix("event: "), json.loads(next(lines).removeprefix("data: ")))
            for line in lines
            if line.startswith("event: ")
        )


def test_http_streams_each_sentence_when_it_has_passed(told: Setting, service: Served) -> None:
    with events(service) as found:
        name, first = next(found)
        assert (name, first["statement"]["text"]) == ("statement", told.model.sentences[0])
        told.model.go_on.set()
        *_, (name, answer) = found
    assert name == "answer"
    told.written(answer)


@pytest.mark.parametrize("path", ["/v1/ask", "/v1/stream"])
def test_http_stops_the_model_when_the_client_goes(
    told: Setting, service: Served, path: str
) -> None:
    told.model.hangs = True

    async def main() -> None:
        async with httpx.AsyncClient(base_url=service.url, timeout=TIMEOUT_S) as client:
            call = asyncio.create_task(client.post(path, json={"question": QUESTION}))
            await asked(told)
            assert not told.server.gone.is_set()
            call.cancel()
            assert await asyncio.to_thread(told.server.gone.wait, TIMEOUT_S), "it went on"

    asyncio.run(main())


def test_http_gives_the_sources_where_the_model_fails(told: Setting, service: Served) -> None:
    told.model.fails = True
    found = httpx.post(f"{service.url}/v1/ask", json={"question": QUESTION}, timeout=TIMEOUT_S)
    assert found.status_code == 200
    told.extracted(found.json())


# MCP


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_mcp_tells_each_sentence_stops_and_gives_the_sources(told: Setting, transport: str) -> None:
    async def main() -> None:
        if transport == "stdio":
            async with over_stdio(told.env) as client:
                await use(client)
        else:
            with served({**told.env, "SAFETY_ASSISTANT_TOKEN": TOKEN}, "mcp", "--http") as server:
                async with over_http(server.url) as client:
                    await use(client)

    async def use(client: Client) -> None:
        await tells(client)
        await stops(client)
        await fails(client)

    async def tells(client: Client) -> None:
        said: list[str] = []

        async def progress(step: float, total: float | None, message: str | None) -> None:
            if message in told.model.sentences:
                said.append(str(message))
                told.model.go_on.set()

        result = await client.call_tool("ask", {"question": QUESTION}, progress_callback=progress)
        told.written(result.structured_content)
        assert said == told.model.sentences

    async def stops(client: Client) -> None:
        told.model.begun.clear()
        told.model.hangs = True
        call = asyncio.create_task(client.call_tool("ask", {"question": QUESTION}))
        await asked(told)
        call.cancel()
        assert await asyncio.to_thread(told.server.gone.wait, TIMEOUT_S), "the request went on"

    async def fails(client: Client) -> None:
        told.model.fails = True
        result = await client.call_tool("ask", {"question": QUESTION})
        told.extracted(result.structured_content)

    asyncio.run(main())
