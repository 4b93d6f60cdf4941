"""The MCP server in real processes, seen through the SDK's own client and line by line."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import filelock
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
)

from assistant import Assistant
from assistant.interfaces.mcp import NOTICE, OUTPUT_CHARS
from tests.conftest import ROOT, SMALL
from tests.servers import TOKEN, Served, plain_environment, served
from tests.test_api import TWENTY
from tests.test_cli import PROGRAM, QUESTION, environment, run, settings, with_model

TOOLS = ["ask", "search", "get_provision", "checklist", "list_sources"]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the small corpus is indexed with the real model."""
    found = environment(SMALL, with_model(tmp_path_factory.mktemp("cache")))
    assert run(found, "index", "build").returncode == 0
    return {**found, "SAFETY_ASSISTANT_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def http(env: dict[str, str]) -> Iterator[Served]:
    """A server over HTTP for the small corpus."""
    with served(env, "mcp", "--http", "--per-minute", "100000") as server:
        yield server


@asynccontextmanager
async def over_stdio(env: Mapping[str, str], mode: str = "auto") -> AsyncIterator[Client]:
    command, *arguments = PROGRAM
    parameters = StdioServerParameters(
        command=command, args=[*arguments, "mcp"], env=dict(env), cwd=ROOT
    )
    async with Client(parameters, mode=mode) as client:
        yield client


@asynccontextmanager
async def over_http(url: str, mode: str = "auto") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """As it is after a passage through JSON, without the times."""
    read: dict[str, Any] = json.loads(json.dumps(given))
    read.pop("timings_ms", None)
    return read


# What the server offers and gives


async def tour(client: Client, assistant: Assistant) -> None:
    """Everything that a client can see, compared with the API."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == TOOLS
    for tool in tools.values():
        assert tool.annotations is not None and tool.output_schema is not None
        assert tool.annotations.read_only_hint and tool.annotations.idempotent_hint
        assert not tool.annotations.destructive_hint and not tool.annotations.open_world_hint
        assert NOTICE in (tool.description or "")
    fields = tools["ask"].input_schema["properties"]
    taxonomy = assistant.corpus.taxonomy
    assert fields["question"]["maxLength"] == 2000
    assert fields["phase"]["items"]["enum"] == list(taxonomy.phases)
    assert fields["kind"]["items"]["enum"] == list(taxonomy.kinds)
    assert fields["jurisdiction"]["items"]["enum"] == ["EU", "international"]
    checked = tools["checklist"].input_schema["properties"]
    assert checked["phase"]["enum"] == list(taxonomy.phases)
    assert checked["concerns"]["items"]["enum"] == list(taxonomy.concerns)
    counted = tools["search"].input_schema["properties"]["k"]
    assert (counted["minimum"], counted["maximum"]) == (1, 50)
    assert set(tools["ask"].output_schema["required"]) == set(assistant.ask(QUESTION).to_dict())

    async def call(name: str, **arguments: Any) -> dict[str, Any]:
        result = await client.call_tool(name, arguments)
        assert not result.is_error
        notice, data = (block.text for block in result.content)
        assert notice.startswith(NOTICE) and json.loads(data) == result.structured_content
        return plain(result.structured_content)

    filters = {"kind": ["guideline"], "jurisdiction": ["international"]}
    given = await call("ask", question=QUESTION, phase="model-selection", **filters)
    own = assistant.ask(QUESTION, phase="model-selection", **filters)
    assert given == plain(own.to_dict()) and given["outcome"] == "answered"
    abstained = await call("ask", question="What is the best pizza in Naples?")
    assert abstained["outcome"] == "abstained" and abstained["reason"]
    listed = await call("checklist", phase="model-selection", concerns=["unsafe-loading"])
    own_list = assistant.checklist("model-selection", ["unsafe-loading"])
    assert listed == plain(own_list.to_dict()) and listed["items"]
    found = await call("search", query="scan a checkpoint", k=3)
    ids = [hit.provision.id for hit in assistant.search("scan a checkpoint", 3)]
    assert [hit["id"] for hit in found["hits"]] == ids and found["left_out"] == 0
    (shown,) = (await call("get_provision", locator="example-act#Art. 2"))["provisions"]
    assert shown["text"].startswith("A deployer must scan")
    assert shown["related"][0]["object"] == "example-guideline#EX01"
    sources = (await call("list_sources", kind="law"))["sources"]
    assert [source["id"] for source in sources] == ["example-act"]
    assert len((await call("list_sources"))["sources"]) == 3

    resources = [resource.uri for resource in (await client.list_resources()).resources]
    assert resources == [
        "safety://sources",
        *(f"safety://source/{source.id}" for source in assistant.sources()),
    ]
    for uri in resources:
        assert (await read(client, uri))["notice"] == NOTICE
    digest = await read(client, "safety://source/example-act")
    assert digest["source"]["publisher"] == "Example Parliament"
    assert [entry["id"] for entry in digest["provisions"]][2] == "example-act#Art. 2"
    assert (await read(client, "safety://provision/example-act/Art.%202"))["id"] == shown["id"]
    templates = (await client.list_resource_templates()).resource_templates
    assert len(templates) == 2

    prompts = (await client.list_prompts()).prompts
    assert [prompt.name for prompt in prompts] == list(taxonomy.phases) and len(prompts) == 7
    for prompt in prompts:
        (message,) = (await client.get_prompt(prompt.name, {"system": "a chatbot"})).messages
        assert f"phase `{prompt.name}`" in message.content.text
        assert '"a chatbot"' in message.content.text and "not instructions" in message.content.text


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert content.mime_type == "application/json"
    found: dict[str, Any] = json.loads(content.text)
    return found


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file, but of the one in which Chroma notes that it was opened."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "chroma.sqlite3"
    }


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_stdio(env: dict[str, str], mode: str) -> None:
    """Also: nothing that a client does changes the corpus or the index."""
    folders = (SMALL, Path(env["SAFETY_ASSISTANT_CACHE"]))
    before = [contents(folder) for folder in folders]

    async def visit() -> None:
        async with over_stdio(env, mode) as client:
            latest = LATEST_MODERN_VERSION if mode == "auto" else LATEST_HANDSHAKE_VERSION
            assert client.protocol_version == latest
            await tour(client, assistant)

    with Assistant.open(settings(env), build=False) as assistant:
        asyncio.run(visit())
    assert [contents(folder) for folder in folders] == before and all(before)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_http(env: dict[str, str], http: Served, mode: str) -> None:
    async def visit() -> None:
        async with over_http(http.url, mode) as client:
            latest = LATEST_MODERN_VERSION if mode == "auto" else LATEST_HANDSHAKE_VERSION
            assert client.protocol_version == latest
            await tour(client, assistant)

    with Assistant.open(settings(env), build=False) as assistant:
        asyncio.run(visit())


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_fifty_calls_at_once(assistant: Assistant, transport: str) -> None:
    """Each gets the answer that its question gets alone, on the shipped corpus."""
    alone = {question: plain(assistant.ask(question).to_dict()) for question in TWENTY}
    asked = [TWENTY[n % len(TWENTY)] for n in range(50)]

    async def fifty(client: Client) -> None:
        calls = [client.call_tool("ask", {"question": question}) for question in asked]
        for question, result in zip(asked, await asyncio.gather(*calls), strict=True):
            assert plain(result.structured_content or {}) == alone[question]

    async def visit() -> None:
        env = {**plain_environment(), "SAFETY_ASSISTANT_TOKEN": TOKEN}
        if transport == "stdio":
            async with over_stdio(env) as client:
                await fifty(client)
        else:
            with served(env, "mcp", "--http") as server:
                async with over_http(server.url) as client:
                    await fifty(client)

    asyncio.run(visit())


def test_output_is_bounded_and_says_what_was_left_out(assistant: Assistant) -> None:
    """And every id of the shipped corpus, with whatever signs, can be read as a resource."""
    strange = {re.sub(r"\w", "", entry.id): entry.id for entry in assistant.corpus.provisions}
    uris = [
        f"safety://provision/{source}/{quote(locator, safe='')}"
        for source, _, locator in (identifier.partition("#") for identifier in strange.values())
    ]

    async def visit() -> None:
        async with over_stdio(plain_environment()) as client:
            for phase in assistant.corpus.taxonomy.phases:
                result = await client.call_tool("checklist", {"phase": phase})
                notice, data = (block.text for block in result.content)
                given, own = json.loads(data), assistant.checklist(phase)
                cut = len(own.items) - len(given["items"])
                assert len(data) <= OUTPUT_CHARS and given["left_out"] == own.left_out + cut
                assert f"{cut} more were left out" in notice or not cut
                assert {i["concern"] for i in given["items"]} == {i.concern for i in own.items}
                numbers = {n for item in given["items"] for n in item["citations"]}
                assert numbers == {citation["number"] for citation in given["citations"]}
            for name, arguments in (
                ("search", {"query": "Which risks do agents have?", "k": 50}),
                ("list_sources", {}),
                ("checklist", {"phase": "integration", "per_concern": 50}),
            ):
                result = await client.call_tool(name, arguments)
                assert 10_000 < len(result.content[1].text) <= OUTPUT_CHARS
            for resource in (await client.list_resources()).resources:
                (content,) = (await client.read_resource(resource.uri)).contents
                assert len(content.text) <= OUTPUT_CHARS
            for identifier, uri in zip(strange.values(), uris, strict=True):
                assert (await read(client, uri))["id"] == identifier

    asyncio.run(visit())


# Misuse


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("demolish", {}, "There is no tool 'demolish'. Known: ask, "),
        ("ask", {}, "question: Field required."),
        ("ask", {"question": 5}, "question: Input should be a valid string."),
        ("ask", {"question": "?!…"}, "The question is empty."),
        ("ask", {"question": "a" * 2001}, "question: String should have at most 2000 characters."),
        ("ask", {"question": "a", "colour": "x" * 999}, "Unknown argument 'colour'."),
        ("ask", {"question": "a", "phase": ["nowhere"]}, "Unknown phase 'nowhere'. Known: prep"),
        ("ask", {"question": "a", "kind": ["law"] * 11}, "kind: "),
        ("search", {"query": "a", "k": 0}, "k: Input should be greater than or equal to 1."),
        ("search", {"query": "a", "k": 51}, "k: Input should be less than or equal to 50."),
        ("search", {"query": "a", "k": "many"}, "k: Input should be a valid integer"),
        ("get_provision", {"locator": "EX09"}, "No provision is named 'EX09'."),
        ("checklist", {"phase": "nowhere"}, "Unknown phase 'nowhere'."),
    ],
)
def test_misuse_is_an_error_of_the_tool_in_a_sentence(
    http: Served, tool: str, arguments: dict[str, Any], says: str
) -> None:
    async def visit() -> None:
        async with over_http(http.url) as client:
            result = await client.call_tool(tool, arguments)
            (block,) = result.content
            assert result.is_error and block.text.startswith(says)
            assert len(block.text) < 300 and "\n" not in block.text

    asyncio.run(visit())


def test_unknown_resources_and_prompts(http: Served) -> None:
    async def visit() -> None:
        async with over_http(http.url) as client:
            for uri in ("safety://source/x", "safety://provision/example-act/Art.%209", "a://b"):
                with pytest.raises(MCPError, match=r"No source|No provision|Unknown resource"):
                    await client.read_resource(uri)
            for name, arguments, says in (
                ("breakfast", {}, "There is no prompt 'breakfast'. Known: preparation, "),
                ("deployment", {"colour": "red"}, "takes the argument 'system' alone"),
                ("deployment", {"system": "a" * 2001}, "more than 2,000 characters"),
            ):
                with pytest.raises(MCPError, match=re.escape(says)):
                    await client.get_prompt(name, arguments)

    asyncio.run(visit())


# The process, line by line


class Lines:
    """A server over standard input and output, one JSON-RPC message a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.process, self.stdin = process, process.stdin
        self.stdout, self.stderr = process.stdout, process.stderr
        self.seen: list[dict[str, Any]] = []

    def send(self, *messages: str | dict[str, Any]) -> None:
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message)
            self.stdin.write(text + "\n")
        self.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The next message; fails on a line that is not of the protocol."""
        message: dict[str, Any] = json.loads(self.stdout.readline())
        assert message["jsonrpc"] == "2.0" and ("method" in message or "id" in message)
        self.seen.append(message)
        return message

    def answer_to(self, number: int) -> dict[str, Any]:
        while self.receive().get("id") != number:
            pass
        return self.seen[-1]

    def greet(self, version: str = LATEST_HANDSHAKE_VERSION) -> dict[str, Any]:
        """The handshake; the server's part of it."""
        parameters = {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "a test", "version": "1"},
        }
        self.send(request(0, "initialize", **parameters))
        found: dict[str, Any] = self.answer_to(0)["result"]
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return found

    def hang_up(self) -> str:
        """Close standard input; what was on standard error. Nothing else may come."""
        self.stdin.close()
        assert self.stdout.read() == ""
        errors = self.stderr.read()
        assert self.process.wait(30) == 0
        return errors


def request(number: int, method: str, **parameters: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}


def call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    return request(number, "tools/call", name=tool, arguments=arguments)


@contextmanager
def lines(env: Mapping[str, str], program: Sequence[str] = PROGRAM) -> Iterator[Lines]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*program, "mcp"], cwd=ROOT, env=env, text=True, **pipes) as process:
        try:
            yield Lines(process)
        finally:
            process.kill()


@pytest.mark.parametrize("version", [*HANDSHAKE_PROTOCOL_VERSIONS, "1999-01-01"])
def test_the_revision_is_negotiated(http: Served, version: str) -> None:
    """Every one that the SDK implements is spoken; for another the latest is offered."""
    parameters = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Accept": "application/json, text/event-stream",
    }
    body = request(1, "initialize", **parameters)
    with httpx2.Client() as client:
        text = client.post(http.url, json=body, headers=headers).text
    (data,) = (line[6:] for line in text.splitlines() if line.startswith("data: {"))
    spoken = version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
    assert json.loads(data)["result"]["protocolVersion"] == spoken


def test_standard_output_carries_the_protocol_alone_while_the_index_is_built(
    env: dict[str, str], tmp_path: Path
) -> None:
    """The first call waits and is told how far it is; calls can be given up; the rest goes on."""
    cache = with_model(tmp_path / "cache")
    new = {**env, "SAFETY_ASSISTANT_CACHE": str(cache)}
    lock = filelock.FileLock(cache / "build.lock")
    with lines(new) as server:
        with lock:  # As if another process were building.
            server.greet()
            first = call(1, "ask", question=QUESTION)
            first["params"]["_meta"] = {"progressToken": "p"}
            cancelled = {"requestId": 2, "reason": "no longer needed"}
            server.send(
                first,
                call(2, "ask", question=QUESTION),
                {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled},
                request(3, "ping"),
            )
            assert server.answer_to(3)["result"] == {}
            while not any("method" in message for message in server.seen):
                server.receive()
        answer = server.answer_to(1)["result"]["structuredContent"]
        assert answer["outcome"] == "answered"
        progress = [message["params"] for message in server.seen if message.get("method")]
        assert progress[0]["message"] == "The index is being opened"
        assert {step["progressToken"] for step in progress} == {"p"}
        steps = [step["progress"] for step in progress]
        assert steps == sorted(set(steps))
        server.send(call(4, "ask", question=QUESTION))
        assert plain(server.answer_to(4)["result"]["structuredContent"]) == plain(answer)
        assert 2 not in [message.get("id") for message in server.seen], (
            "what is cancelled is silent"
        )
        assert "Embedding: " in server.hang_up()


def test_garbage_is_survived(env: dict[str, str]) -> None:
    with lines(env) as server:
        server.send("garbage", request(9, "tools/list"))
        server.greet()
        server.send("garbage", "{", "[]", "null", '"', "[" * 100_000, '{"jsonrpc": "1.0", "id": 1}')
        server.send("", "\x00\x1b[2J", '{"jsonrpc": "2.0", "id": {}, "method": "ping"}')
        server.send(request(1, "demolish"), {"jsonrpc": "2.0", "id": 2, "method": "tools/call"})
        server.send(
            request(3, "tools/call", name=5), request(4, "tools/call", name="ask", arguments=[])
        )
        server.send(
            call(5, "ask", question="a" * 3_000_000), {"jsonrpc": "2.0", "id": 6, "result": {}}
        )
        server.send(call(7, "ask", question=QUESTION))
        assert server.answer_to(7)["result"]["structuredContent"]["outcome"] == "answered"
        by_number = {message["id"]: message for message in server.seen if message["id"]}
        assert {by_number[n]["error"]["code"] for n in (1, 2, 3, 4)} == {-32601, -32602}
        assert by_number[5]["result"]["isError"]
        assert "Traceback" not in server.hang_up()


def test_hanging_up_ends_it_even_while_the_index_is_built(
    env: dict[str, str], tmp_path: Path
) -> None:
    cache = with_model(tmp_path / "cache")
    with (
        filelock.FileLock(cache / "build.lock"),
        lines({**env, "SAFETY_ASSISTANT_CACHE": str(cache)}) as server,
    ):
        server.greet()
        server.send(request(1, "ping"))
        server.answer_to(1)
        assert server.hang_up() == ""


def test_ctrl_c_ends_it(env: dict[str, str]) -> None:
    with lines(env) as server:
        server.greet()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == -signal.SIGINT
        assert (server.stdout.read(), server.stderr.read()) == ("", "")


WATCHED = """
import sys
import socket

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        print("reached out:", event, file=sys.stderr)

sys.addaudithook(watch)
socket.socket().connect_ex(("127.0.0.1", 9))
from assistant.interfaces.cli import main
main()
"""


def test_nothing_is_reached_over_the_network(env: dict[str, str]) -> None:
    """The one line is the hook's own proof that it sees what it is to see."""
    with lines(env, [sys.executable, "-c", WATCHED]) as server:
        server.greet()
        server.send(call(1, "ask", question=QUESTION))
        assert server.answer_to(1)["result"]["structuredContent"]["outcome"] == "answered"
        assert server.hang_up() == "reached out: socket.connect\n"


# The process over HTTP


def test_http_is_guarded(env: dict[str, str], http: Served) -> None:
    ping = request(1, "ping")
    bearer = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    with httpx2.Client() as client:

        def status(given: dict[str, str], body: Any = ping) -> int:
            found = client.post(http.url, json=body, headers=given)
            assert TOKEN not in found.text
            return found.status_code

        assert status({**bearer, "Authorization": "Bearer another-token-123"}) == 401
        assert status({}) == 401
        assert status({**bearer, "Origin": "https://evil.example"}) == 403
        assert status({**bearer, "Host": "evil.example"}) == 421
        assert status(bearer, call(1, "ask", question="a" * 300_000)) == 413
        assert status({**bearer, "Content-Type": "text/plain"}) in (400, 415)
        for garbage in (b"garbage", b"[", b"[]", b"null", b"\xff", b""):
            found = client.post(http.url, content=garbage, headers=bearer)
            assert 400 <= found.status_code < 500


def test_http_limits_the_rate_and_ends_on_ctrl_c(env: dict[str, str]) -> None:
    with served(env, "mcp", "--http", "--per-minute", "2") as server:
        with httpx2.Client() as client:
            found = [client.get(server.url) for _ in range(3)]
            assert [reply.status_code for reply in found] == [401, 401, 429]
            assert int(found[-1].headers["retry-after"]) <= 30
        assert server.stop() == 0
        assert TOKEN not in "".join(server.errors) and len(server.errors) == 1


def test_serving_others_without_a_token_is_refused(env: dict[str, str]) -> None:
    without = {key: value for key, value in env.items() if key != "SAFETY_ASSISTANT_TOKEN"}
    done = run(without, "mcp", "--http", "--host", "0.0.0.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "a token is needed" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_configurations_of_the_documentation_start_the_server(env: dict[str, str]) -> None:
    """Each is JSON that names the command as it is; and the limits written there are the program's."""
    text = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
    read = [json.loads(part) for part in re.findall(r"^```json\n(.*?)^```$", text, re.M | re.S)]
    *commands, over_http_too = [next(iter(entry.values()))["safety-assistant"] for entry in read]
    assert len(commands) == 5
    for name in ("VS Code", "Cursor", "Claude Code", "Zed", "JetBrains"):
        assert f"**{name}**" in text
    for entry in commands:
        assert (entry["command"], entry["args"]) == ("safety-assistant", ["mcp"])
    assert over_http_too["url"].endswith(":8001/mcp")
    assert f"{OUTPUT_CHARS:,} characters" in text and all(f"`{tool}`" in text for tool in TOOLS)
    assert LATEST_MODERN_VERSION in text and LATEST_HANDSHAKE_VERSION in text
    shown = run(env, "mcp", "--help").stdout
    assert "8001" in shown and "--http" in shown
