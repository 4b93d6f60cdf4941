"""What stands before every server: who may call, how often, how much at once, how large.

A plain ASGI middleware, so that the HTTP service, the MCP server and a page can share it. It refuses with
a status and one sentence as ``{"error": …}``:

    401  no token or account, or another    421  a Host that is not this server's
    403  an Origin that is not the Host     429  too many requests of one client; see Retry-After
    413  the body is too large              503  too many requests at once; see Retry-After
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import json
import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from assistant.errors import SettingsError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_VARIABLE = "SAFETY_ASSISTANT_TOKEN"
ACCOUNTS_VARIABLE = "SAFETY_ASSISTANT_AUTH"
_SHORTEST_TOKEN = 16
_MOST_CLIENTS = 10_000
_POLICY = 1008
"""The code of a WebSocket that is closed because it breaks a rule."""
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes; every limit is at least 1.

    body_bytes: size of a request's body. upload_bytes: of one that uploads a file. per_minute: requests of one client, which may come all at
    once. at_once: requests with a body under way, of all clients; those that listen are not counted.
    """

    body_bytes: int = 256 * 1024
    upload_bytes: int = 200 * 2**20
    per_minute: int = 300
    at_once: int = 64


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call: who has the token, or an account; without both, whoever reaches the address.

    accounts: passwords by name, which browsers ask for. names: hosts by which a proxy calls the server.
    """

    host: str
    token: str | None
    accounts: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether it is meant for others than who sits at this machine."""
        return bool(self.accounts or self.names) or not is_loopback(self.host)

    def __repr__(self) -> str:
        return f"Access(host={self.host!r}, token={'…' if self.token else None})"


def read_access(host: str, token_file: Path | None) -> Access:
    """The token from a file, else from SAFETY_ASSISTANT_TOKEN, for serving at ``host``.

    Raises SettingsError if the token cannot be used, and if other machines could call without one.
    """
    origin, token = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE)
    if token_file is not None:
        origin, token = str(token_file), _read(token_file, "token")
    if token is not None:
        token = token.strip()
        if len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
            raise SettingsError(
                f"The token in {origin} must have at least {_SHORTEST_TOKEN} printable ASCII characters. "
                "`openssl rand -hex 32` makes one."
            )
    if token is None and not is_loopback(host):
        raise SettingsError(
            f"Serving at {host} lets other machines call, so a token is needed. Put one into "
            f"{TOKEN_VARIABLE} or a file for --token-file, or serve at 127.0.0.1."
        )
    return Access(host, token)


def read_accounts(host: str, file: Path | None, public_url: str) -> Access:
    """Accounts from the lines NAME:PASSWORD of a file, else of SAFETY_ASSISTANT_AUTH, else none.

    public_url: where a proxy shows the server, "" for nowhere. Raises SettingsError for a line or an
    address of another form, and if other machines could call without an account.
    """
    public = urlsplit(public_url)
    if public_url and not (public.scheme in ("http", "https") and public.hostname):
        raise SettingsError(
            f"The public address '{public_url}' is not one of the web. Write it as https://host/path."
        )
    origin = str(file) if file else ACCOUNTS_VARIABLE
    given = _read(file, "account") if file else os.environ.get(ACCOUNTS_VARIABLE, "")
    accounts = {}
    for line in filter(None, map(str.strip, given.splitlines())):
        name, _, password = line.partition(":")
        if not name or not password:
            raise SettingsError(f"A line in {origin} is not NAME:PASSWORD. Correct it.")
        accounts[name] = password
    if file and not accounts:
        raise SettingsError(f"{origin} names no account. Write a line NAME:PASSWORD into it.")
    if not accounts and not is_loopback(host):
        raise SettingsError(
            f"Serving at {host} lets other machines call, so an account is needed. Put NAME:PASSWORD into "
            f"{ACCOUNTS_VARIABLE} or a file for --auth, or serve at 127.0.0.1."
        )
    return Access(host, None, accounts, (public.hostname,) if public.hostname else ())


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The {what} file {file} cannot be read: {error}. Name a text file."
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Lets a request pass to ``app``, or refuses it; see the module."""

    def __init__(
        self,
        app: App,
        access: Access,
        limits: Limits,
        *,
        open_paths: tuple[str, ...] = (),
        uncounted: tuple[str, ...] = (),
        uploads: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """open_paths: need no token and are not counted. clock: seconds, for the rate.

        uncounted: beginnings of the paths of files, of which a page loads dozens. uploads: paths
        whose requests hold a file.
        """
        self._app, self._access, self._limits = app, access, limits
        self._open_paths, self._uncounted, self._uploads = open_paths, uncounted, uploads
        self._clock = clock
        self._clients: dict[str, tuple[float, float]] = {}
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY})
        elif refusal is not None:
            await refusal(send)
        elif scope["type"] == "http":
            await self._limited(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1")
        known = (*_LOOPBACK_NAMES, *self._access.names)
        if is_loopback(self._access.host) and _name(host) not in known:
            # A page elsewhere whose name was made to point here, known as DNS rebinding.
            return _Refusal(421, "This server answers to localhost alone. Call it by that name.")
        origin = headers.get(b"origin", f"http://{host}".encode("latin-1")).decode("latin-1")
        if origin not in (f"http://{host}", f"https://{host}"):
            return _Refusal(
                403, "Pages of another origin may not call this server. Call it directly."
            )
        if scope["path"] in self._open_paths:
            return None
        wait_s = 0 if scope["path"].startswith(self._uncounted) else self._wait_s(scope)
        if wait_s:
            return _Refusal(
                429,
                f"More than {self._limits.per_minute} requests a minute. Wait {wait_s} s.",
                (b"retry-after", str(wait_s).encode()),
            )
        if self._access.token is not None and not _bears(headers, self._access.token):
            return _Refusal(
                401,
                "The token is missing or is another one. Send it as `Authorization: Bearer TOKEN`.",
                (b"www-authenticate", b"Bearer"),
            )
        if self._access.accounts and not _has_account(headers, self._access.accounts):
            return _Refusal(
                401,
                "A name and a password are needed. Ask whoever runs this server for an account.",
                (b"www-authenticate", b'Basic realm="Safety guideline assistant", charset="UTF-8"'),
            )
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most(scope):
            return _too_large(self._most(scope))
        return None

    def _most(self, scope: Scope) -> int:
        """How many bytes the request's body may have."""
        uploads = scope["path"] in self._uploads
        return self._limits.upload_bytes if uploads else self._limits.body_bytes

    def _wait_s(self, scope: Scope) -> int:
        """0 for a request in time, else the seconds until one is: a bucket of a minute's tokens."""
        most, now = float(self._limits.per_minute), self._clock()
        client = scope["client"][0] if scope.get("client") else ""
        left, then = self._clients.pop(client, (most, now))
        left = min(most, left + (now - then) * most / 60)
        wait = 0 if left >= 1 else math.ceil((1 - left) * 60 / most)
        if len(self._clients) >= _MOST_CLIENTS:
            del self._clients[next(iter(self._clients))]
        self._clients[client] = (left if wait else left - 1, now)
        return wait

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counted if it has a body, which is cut off where it gets too large."""
        counts = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if counts and self._under_way >= self._limits.at_once:
            await _Refusal(
                503,
                f"{self._limits.at_once} requests are under way already. Try again in a second.",
                (b"retry-after", b"1"),
            )(send)
            return
        most = self._most(scope)
        body = _Body(receive, send, most, _too_large(most))
        self._under_way += counts
        try:
            await self._app(scope, body.receive, body.send)
        finally:
            self._under_way -= counts


class _Refusal:
    """A response in place of the app's."""

    def __init__(self, status: int, sentence: str, *headers: tuple[bytes, bytes]) -> None:
        self._status, self._headers = status, headers
        self._body = json.dumps({"error": sentence}).encode()

    async def __call__(self, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), *self._headers]
        headers.append((b"content-length", str(len(self._body)).encode()))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


def _too_large(most: int) -> _Refusal:
    return _Refusal(413, f"The request is larger than {most:,} bytes. Send less.")


class _Body:
    """Counts what comes in; over the limit the refusal goes out and the app sees a hang-up."""

    def __init__(self, receive: Receive, send: Send, most: int, refusal: _Refusal) -> None:
        self._receive, self._send, self._left, self._refusal = receive, send, most, refusal
        self._refused = False

    async def receive(self) -> Message:
        if self._refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._refused = True
            await self._refusal(self._send)
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if not self._refused:
            await self._send(message)


def _name(host: str) -> str | None:
    """The name in a Host header, without its port; None if there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _bears(headers: dict[bytes, bytes], token: str) -> bool:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())


def _has_account(headers: dict[bytes, bytes], accounts: Mapping[str, str]) -> bool:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    try:
        decoded = base64.b64decode(given, validate=True)
    except binascii.Error:
        return False
    return scheme.lower() == b"basic" and any(
        hmac.compare_digest(decoded, f"{name}:{word}".encode()) for name, word in accounts.items()
    )
