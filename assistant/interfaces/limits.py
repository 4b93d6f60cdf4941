"""Limits for whoever serves over HTTP: requests per client, answers at once, size, a password."""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from assistant.errors import QuestionError

_CLIENTS = 10_000
"""How many clients are remembered; the one seen longest ago is forgotten first."""
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""Nothing from elsewhere, said to the browser too; Gradio needs inline and evaluated scripts."""


class PerClient:
    """At most ``per_minute`` requests of a client in any minute, as a bucket that refills evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, client: str) -> None:
        """Count a request; raises QuestionError, with the seconds to wait, for one too many."""
        with self._lock:
            now = self._clock()
            left, seen = self._buckets.pop(client, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - seen) * self._per_minute / 60)
            self._buckets[client] = (left - 1 if left >= 1 else left, now)
            if len(self._buckets) > _CLIENTS:
                self._buckets.popitem(last=False)
        if left < 1:
            wait_s = int((1 - left) * 60 / self._per_minute) + 1
            raise QuestionError(
                f"More than {self._per_minute} requests within a minute. Wait {wait_s} s, then try again."
            )


class AtOnce:
    """At most ``places`` things under way; the others wait their turn up to ``wait_s`` seconds."""

    def __init__(self, places: int, wait_s: float) -> None:
        self._places, self._wait_s = places, wait_s
        self._free = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place; raises QuestionError if none becomes free in time."""
        if not self._free.acquire(timeout=self._wait_s):
            raise QuestionError(
                f"{self._places} answers are under way and none has ended within {self._wait_s:g} s. "
                "Ask again in a moment."
            )
        try:
            yield
        finally:
            self._free.release()


class Guard:
    """ASGI middleware before everything else: password, size of requests, rate, headers.

    users: passwords by name; empty for no password. limited: beginnings of the paths that are
    counted for ``per_client``. closed: beginnings of paths that do not exist.
    """

    def __init__(
        self,
        app: Any,
        users: Mapping[str, str],
        per_client: PerClient,
        limited: tuple[str, ...],
        closed: tuple[str, ...],
        max_body_bytes: int,
    ) -> None:
        self._app, self._users, self._per_client = app, users, per_client
        self._limited, self._closed, self._max_body_bytes = limited, closed, max_body_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it with 401, 404, 413 or 429 and a sentence."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await _answer(send, *refusal)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_encoded(_HEADERS)]
            await send(message)

        await self._app(scope, receive, sending)

    def _refusal(
        self, scope: Any, headers: Mapping[str, bytes]
    ) -> tuple[int, str, dict[str, str]] | None:
        if self._users and not _known(headers.get("authorization", b""), self._users):
            asked = {
                "www-authenticate": 'Basic realm="Safety guideline assistant", charset="UTF-8"'
            }
            return 401, "A name and a password are needed.", asked
        if scope["path"].startswith(self._closed):
            return 404, "There is nothing here.", {}
        length = headers.get("content-length", b"0")
        if "transfer-encoding" in headers or int(length) > self._max_body_bytes:
            return 413, f"A request may have {self._max_body_bytes} bytes, with their number.", {}
        if scope["path"].startswith(self._limited):
            try:
                self._per_client.check((scope["client"] or ("",))[0])
            except QuestionError as error:
                return 429, str(error), {}
        return None


def _known(header: bytes, users: Mapping[str, str]) -> bool:
    scheme, _, encoded = header.partition(b" ")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return False
    return scheme.lower() == b"basic" and any(
        hmac.compare_digest(name, known.encode()) & hmac.compare_digest(password, secret.encode())
        for known, secret in users.items()
    )


async def _answer(send: Any, status: int, message: str, headers: Mapping[str, str]) -> None:
    kind = {"content-type": "text/plain; charset=utf-8"}
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": _encoded({**kind, **headers})})
    await send({"type": "http.response.body", "body": message.encode()})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
