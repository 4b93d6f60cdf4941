"""The HTTP service in real processes: its contract, its limits, its description, its end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import httpx
import pytest

from assistant import Assistant
from assistant.interfaces.guard import Limits
from assistant.questions import MAX_CHARS
from tests.conftest import ROOT, SMALL
from tests.servers import TOKEN, Served, plain_environment, served
from tests.test_api import TWENTY
from tests.test_cli import QUESTION, environment, run, settings, with_model
from tests.test_mcp import plain

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the small corpus is indexed with the real model."""
    found = environment(SMALL, with_model(tmp_path_factory.mktemp("cache")))
    assert run(found, "index", "build").returncode == 0
    return {**found, "SAFETY_ASSISTANT_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def server(env: dict[str, str]) -> Iterator[Served]:
    """A service for the small corpus."""
    with served(env, "serve", "--per-minute", "1000000") as found:
        wait_until_ready(found.url)
        yield found


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=BEARER, timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def own(env: dict[str, str]) -> Iterator[Assistant]:
    """The API on the same index."""
    with Assistant.open(settings(env), build=False) as found:
        yield found


def wait_until_ready(url: str) -> httpx.Response:
    """Ask until the index is open; the first answer that says so."""
    with httpx.Client(base_url=url, timeout=60) as client:
        while (found := client.get("/readyz")).status_code == 503:
            assert found.json()["error"] and found.headers["retry-after"]
    return found


def problem(found: httpx.Response) -> str:
    """The sentence of an error."""
    assert found.headers["content-type"] == "application/json"
    read = found.json()
    assert list(read) == ["error"]
    return str(read["error"])


# The contract


def test_ask(client: httpx.Client, own: Assistant) -> None:
    filters = {"phase": ["model-selection"], "kind": ["guideline"], "source": ["example-guideline"]}
    found = client.post("/v1/ask", json={"question": QUESTION, **filters})
    assert found.status_code == 200
    answer = own.ask(QUESTION, **filters)
    assert answer.outcome == "answered" and plain(found.json()) == plain(answer.to_dict())


def test_stream(client: httpx.Client, own: Assistant) -> None:
    with client.stream("POST", "/v1/stream", json={"question": QUESTION}) as found:
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/event-stream")
        text = "".join(found.iter_text())
    events = [re.fullmatch(r"event: (\w+)\ndata: (.+)", part) for part in text.split("\n\n")[:-1]]
    named = [(event[1], plain(json.loads(event[2]))) for event in events if event]
    assert len(named) == len(events)
    pieces = [plain(asdict(piece)) for piece in own.stream(QUESTION)]
    assert [data for _, data in named] == pieces and len(pieces) > 2
    assert [name for name, _ in named] == ["statement"] * (len(pieces) - 1) + ["answer"]


def test_search_checklist_provisions_and_sources(client: httpx.Client, own: Assistant) -> None:
    hits = client.post("/v1/search", json={"query": "scan a checkpoint", "k": 3}).json()
    expected = [hit.provision.id for hit in own.search("scan a checkpoint", 3)]
    assert [hit["id"] for hit in hits] == expected
    wanted = {"phase": "model-selection", "concerns": ["unsafe-loading"], "per_concern": 2.0}
    found = client.post("/v1/checklist", json=wanted).json()
    listed = own.checklist("model-selection", ["unsafe-loading"], per_concern=2)
    assert found == plain(listed.to_dict()) and found["items"]
    (shown,) = client.get("/v1/provisions", params={"locator": "example-act#Art. 2"}).json()
    assert shown["text"].startswith("A deployer must scan")
    assert shown["source"]["publisher"] == "Example Parliament"
    assert shown["related"][0]["object"] == "example-guideline#EX01"
    sources = client.get("/v1/sources").json()
    assert sources == plain({"all": [asdict(source) for source in own.sources()]})["all"]


def test_health(server: Served, own: Assistant) -> None:
    """Neither needs the token."""
    assert httpx.get(f"{server.url}/healthz").json()["status"] == "up"
    ready = httpx.get(f"{server.url}/readyz").json()
    assert ready == {
        "status": "ready",
        "corpus_version": own.corpus.version,
        "process": server.process.pid,
    }


def test_the_description_holds_the_known_values_and_asks_for_the_token(
    server: Served, own: Assistant
) -> None:
    found = httpx.get(f"{server.url}/openapi.json").json()
    schemas = found["components"]["schemas"]
    taxonomy = own.corpus.taxonomy
    assert schemas["AskRequest"]["properties"]["phase"]["items"]["enum"] == list(taxonomy.phases)
    assert schemas["AskRequest"]["properties"]["question"]["maxLength"] == 2000
    assert schemas["AskRequest"]["properties"]["question"]["examples"]
    assert set(schemas["Answer"]["required"]) == set(own.ask(QUESTION).to_dict())
    for path, operations in found["paths"].items():
        (operation,) = operations.values()
        assert operation["description"]
        if path.startswith("/v1/"):
            assert operation["security"] == [{"HTTPBearer": []}]
            assert {"401", "403", "413", "421", "422", "429", "503"} <= set(operation["responses"])


# Misuse and limits


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("ask", {}, "body.question: Field required."),
        ("ask", {"question": "a" * 2001}, "at most 2000 characters"),
        ("ask", {"question": "?!…"}, "body.question: "),
        ("ask", {"question": 5}, "valid string"),
        ("ask", {"question": "a", "colour": "red"}, "body.colour: "),
        ("ask", {"question": "a", "phase": ["nowhere"]}, "Unknown phase 'nowhere'. Known: prep"),
        ("stream", {"question": "a", "kind": ["gossip"]}, "Unknown kind 'gossip'. Known: law"),
        ("search", {"query": "a", "k": 0}, "greater than or equal to 1"),
        ("search", {"query": "a", "k": "5"}, "valid integer"),
        ("search", {"query": "a", "k": 101}, "less than or equal to 100"),
        ("checklist", {"phase": "nowhere"}, "Unknown phase"),
        ("checklist", {"phase": "deployment", "source": ["x"]}, "Unknown source 'x'"),
    ],
)
def test_misuse_is_422_in_a_sentence(
    client: httpx.Client, path: str, body: dict[str, Any], says: str
) -> None:
    found = client.post(f"/v1/{path}", json=body)
    assert found.status_code == 422 and says in problem(found)


def test_other_misuse(client: httpx.Client) -> None:
    unknown = client.get("/v1/provisions", params={"locator": "EX09"})
    assert unknown.status_code == 404 and "EX01 to EX04" in problem(unknown)
    assert client.get("/v1/provisions").status_code == 422
    assert problem(client.get("/v1/nothing")) and client.get("/v1/ask").status_code == 405
    assert client.post("/v1/ask", content=b"\xff").status_code in (400, 422)
    for garbage in (b"", b"[", b"null", b"[" * 100_000, b'{"question": "\\ud800"}', b"1" * 5000):
        found = client.post(
            "/v1/ask", content=garbage, headers={"content-type": "application/json"}
        )
        assert found.status_code in (400, 422) and problem(found)


def test_guarded(client: httpx.Client) -> None:
    def status(**headers: str) -> int:
        found = client.post("/v1/ask", json={"question": QUESTION}, headers=headers)
        assert TOKEN not in found.text
        assert "access-control-allow-origin" not in found.headers
        return (
            found.status_code
            if found.status_code == 200
            else int(bool(problem(found))) * found.status_code
        )

    assert status() == 200
    assert status(authorization="Bearer another-token-123") == 401
    assert status(origin="https://evil.example") == 403
    assert status(host="evil.example") == 421
    large = client.post("/v1/ask", json={"question": QUESTION, "context": "a" * 300_000})
    assert large.status_code == 413 and problem(large)
    chunks = client.post("/v1/ask", content=(b"a" * 10_000 for _ in range(100)))
    assert chunks.status_code == 413


def test_rate_and_end(env: dict[str, str]) -> None:
    """The limit gives 429 with the seconds to wait; Ctrl-C ends the server; the token is not shown."""
    with served(env, "serve", "--per-minute", "2") as server:
        found = [httpx.get(f"{server.url}/v1/sources", headers=BEARER) for _ in range(3)]
        assert found[-1].status_code == 429 and int(found[-1].headers["retry-after"]) <= 30
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert server.stop() == 0
        assert len(server.errors) == 1 and TOKEN not in server.errors[0]


def test_a_token_from_a_file(env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("the-token-of-the-file\n", encoding="utf-8")
    with served(env, "serve", "--token-file", str(path)) as server:
        wait_until_ready(server.url)
        url = f"{server.url}/v1/sources"
        assert httpx.get(url, headers=BEARER).status_code == 401
        given = {"Authorization": "Bearer the-token-of-the-file"}
        assert httpx.get(url, headers=given).status_code == 200


def test_a_port_in_use_is_named_with_the_remedy(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(env, "serve", "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert port in done.stderr and "--port" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be served" in run(env, "serve", "--port", "70000").stderr


def test_serving_others_without_a_token_is_refused(env: dict[str, str]) -> None:
    without = {key: value for key, value in env.items() if key != "SAFETY_ASSISTANT_TOKEN"}
    done = run(without, "serve", "--host", "0.0.0.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "a token is needed" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_command_line_loads_no_server() -> None:
    """So that a question asked there starts as fast as before."""
    code = "import assistant.interfaces.cli, sys; print([*sys.modules])"
    loaded = run_python(code)
    assert "assistant.interfaces.guard" in loaded
    for name in ("asyncio", "fastapi", "mcp", "pydantic", "starlette", "uvicorn"):
        assert f"'{name}'" not in loaded


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


# Processes and the index


def test_not_ready_until_the_index_is_built(env: dict[str, str], tmp_path: Path) -> None:
    cache = with_model(tmp_path / "cache")
    new = {**env, "SAFETY_ASSISTANT_CACHE": str(cache)}
    lock = filelock.FileLock(cache / "build.lock")
    with lock, served(new, "serve") as server:  # As if another process were building.
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        for path in ("readyz", "v1/sources"):
            found = httpx.get(f"{server.url}/{path}", headers=BEARER)
            assert found.status_code == 503 and "The index is being" in problem(found)
            assert found.headers["retry-after"]
        lock.release()
        assert wait_until_ready(server.url).status_code == 200
        found = httpx.post(f"{server.url}/v1/ask", headers=BEARER, json={"question": QUESTION})
        assert found.json()["outcome"] == "answered"
        assert server.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert any(line.startswith("Embedding: ") for line in server.errors)


def test_a_failure_to_open_is_said_and_tried_again(env: dict[str, str], tmp_path: Path) -> None:
    cache = with_model(tmp_path / "cache")
    new = {**env, "SAFETY_ASSISTANT_CACHE": str(cache), "SAFETY_ASSISTANT_LOCK_TIMEOUT_S": "0"}
    lock = filelock.FileLock(cache / "build.lock")
    with lock, served(new, "serve") as server:
        while "The index is being" in (said := problem(httpx.get(f"{server.url}/readyz"))):
            pass
        assert "Another process has been building" in said
        lock.release()
        assert wait_until_ready(server.url).status_code == 200


def test_ending_gives_up_a_build(env: dict[str, str], tmp_path: Path) -> None:
    """Of the shipped corpus, which takes long; nothing of it is left."""
    cache = with_model(tmp_path / "cache")
    new = {**plain_environment(), "SAFETY_ASSISTANT_CACHE": str(cache)}
    with served(new, "serve") as server:
        assert server.process.stderr is not None
        while "Embedding: " not in server.process.stderr.readline():
            pass
        assert server.stop() == 0
        assert "terminate" not in "".join(server.errors)
    assert {path.name for path in cache.iterdir()} <= {"models", "build.lock"}


def test_several_processes_serve_one_index(assistant: Assistant) -> None:
    """Two workers are ready, and each question gets the answer that it gets from the API."""
    alone = {question: plain(assistant.ask(question).to_dict()) for question in TWENTY}
    env = {**plain_environment(), "SAFETY_ASSISTANT_TOKEN": TOKEN}

    def ask(question: str) -> tuple[int, str, Any]:
        # A connection of its own, so that either process may take it.
        with httpx.Client(timeout=60, headers=BEARER, base_url=url) as client:
            while (ready := client.get("/readyz")).is_error:
                assert ready.status_code == 503
            found = client.post("/v1/ask", json={"question": question})
        return ready.json()["process"], question, plain(found.json())

    processes: set[int] = set()
    with served(env, "serve", "--workers", "2", "--per-minute", "1000000") as server:
        url = server.url
        with ThreadPoolExecutor(8) as pool:
            while len(processes) < 2:
                for process, question, answer in pool.map(ask, TWENTY):
                    assert answer == alone[question]
                    processes.add(process)
        assert server.stop() == 0
        assert len(server.errors) == 1
    assert server.process.pid not in processes
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


# The description holds


def test_fuzzed_against_its_own_description(server: Served, tmp_path: Path) -> None:
    """No request that the description allows or forbids gets a 5xx or an undescribed response."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}"),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--seed", "1"),
            *("--max-time", "20", "--max-examples", "25", "--workers", "2", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d{3,} generated", done.stdout), done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_of_the_documentation_run() -> None:
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == text.count("```sh") == 6
    for limit in (Limits().body_bytes, Limits().per_minute, Limits().at_once, MAX_CHARS):
        assert f" {limit:,} " in text
    env = {**plain_environment(), "SAFETY_ASSISTANT_TOKEN": TOKEN}
    printed = []
    with served(env, "serve") as server:
        wait_until_ready(server.url)
        for example in examples:
            assert "http://127.0.0.1:8000/" in example
            done = subprocess.run(
                ["sh", "-e", "-c", example.replace("http://127.0.0.1:8000", server.url)],
                env=env,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
            printed.append(done.stdout)
    answer, events, hits, checklist, *_ = printed
    assert json.loads(answer)["outcome"] == "answered" and json.loads(checklist)["items"]
    assert events.startswith("event: statement\ndata: {") and "\nevent: answer\n" in events
    assert len(json.loads(hits)) == 5
