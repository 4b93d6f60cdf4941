"""The chat page under load: ``python -m evals.bench.page`` (opening, one person, twenty at once)."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

import httpx

from evals import NO_LIBRARY
from evals.bench.timing import seconds

PEOPLE = 20
_QUESTIONS_EACH = 10
_OPENED = 5
_QUESTIONS = (
    "May I load a .bin checkpoint I found on a model hub?",
    "How do I stop prompt injection from retrieved documents?",
    "Do we have to tell users that they talk to an AI?",
    "What do I have to log when my agent calls tools in production?",
)


class Person:
    """Asks as the page's script does, in a conversation of its own."""

    def __init__(self, url: str) -> None:
        """url: the page's address, with a slash at its end."""
        self._client = httpx.Client(base_url=url, timeout=120)
        self._session = uuid.uuid4().hex
        config = self._client.get("config").json()
        self._call = next(c for c in config["dependencies"] if c["api_name"] == "ask")

    def ask(self, question: str, turn: int = 1) -> dict[str, Any]:
        """The last piece of the answer to a question; raises KeyError if none came."""
        filters: list[Any] = ["", [], [], []]
        without, linked = "", ""
        data = [question, *filters, without, linked, f"{turn} {self._session}", None]
        call = {"data": data, "fn_index": self._call["id"], "session_hash": self._session}
        self._client.post("gradio_api/queue/join", json=call).raise_for_status()
        address = f"gradio_api/queue/data?session_hash={self._session}"
        with self._client.stream("GET", address) as events:
            for line in events.iter_lines():
                event = json.loads(line.removeprefix("data: ") or "{}")
                if event.get("msg") == "process_completed":
                    piece: dict[str, Any] = json.loads(event["output"]["data"][0])
                    return piece
        raise KeyError("no answer came")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


def all_at_once(url: str, people: int, times: int) -> list[tuple[str, dict[str, Any], float]]:
    """Each person asks so often, all at the same time: question, last piece, seconds."""

    def one(number: int) -> list[tuple[str, dict[str, Any], float]]:
        asked = []
        with Person(url) as person:
            for turn in range(times):
                question = _QUESTIONS[(number + turn) % len(_QUESTIONS)]
                begun = time.perf_counter()
                piece = person.ask(question)
                asked.append((question, piece, time.perf_counter() - begun))
        return asked

    with ThreadPoolExecutor(people) as pool:
        return [entry for asked in pool.map(one, range(people)) for entry in asked]


@contextmanager
def served() -> Iterator[str]:
    """The address of the page, served for as long as the context lasts."""
    environment = os.environ | {"SAFETY_ASSISTANT_LIBRARY": str(NO_LIBRARY)}
    options = ["chat", "--no-browser", "--port", "0", "--per-minute", "1000000"]
    with subprocess.Popen(
        [sys.executable, "-m", "assistant.interfaces.cli", *options],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


def _open() -> None:
    """Start the page and wait until it is shown with its index open."""
    with served() as url:
        while True:
            try:
                if httpx.get(url + "read/status", timeout=30).json()["ready"]:
                    httpx.get(url, timeout=30).raise_for_status()
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)


def main() -> None:
    """Print a Markdown table; the index is built first if need be."""
    opened = [seconds(_open) for _ in range(_OPENED + 1)][1:]
    with served() as url:
        all_at_once(url, 1, len(_QUESTIONS))
        alone = [took for _, _, took in all_at_once(url, 1, PEOPLE * _QUESTIONS_EACH)]
        together = [took for _, _, took in all_at_once(url, PEOPLE, _QUESTIONS_EACH)]
    print("| what | p50 | p95 |\n|---|---|---|")
    rows = {"one person": alone, f"{PEOPLE} people at once": together}
    for what, times in rows.items():
        cuts = statistics.quantiles(times, n=20)
        print(f"| {what}, whole answer | {cuts[9] * 1000:.0f} ms | {cuts[18] * 1000:.0f} ms |")
    print(f"| from command to open page, {_OPENED} times | {statistics.median(opened):.1f} s | |")


if __name__ == "__main__":
    main()
