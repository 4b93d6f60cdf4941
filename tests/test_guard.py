"""The guard of the servers: who may call, how often, how much at once, how large."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from assistant import SettingsError
from assistant.interfaces.guard import (
    ACCOUNTS_VARIABLE,
    TOKEN_VARIABLE,
    Access,
    Guard,
    Limits,
    Receive,
    Scope,
    Send,
    is_loopback,
    read_access,
    read_accounts,
)

TOKEN = "0123456789abcdef"
OPEN = Access("127.0.0.1", None)
CLOSED = Access("127.0.0.1", TOKEN)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body that it was sent."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message["body"]
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Reply:
    """The status, headers and body of a response."""

    def __init__(self, messages: list[MutableMapping[str, Any]]) -> None:
        start, *rest = messages
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(message["body"] for message in rest)

    @property
    def error(self) -> str:
        found = json.loads(self.body)
        assert list(found) == ["error"]
        return str(found["error"])


async def call(
    guard: Guard,
    body: tuple[bytes, ...] = (b"",),
    *,
    path: str = "/",
    method: str = "POST",
    client: str = "127.0.0.1",
    **headers: str,
) -> Reply:
    """One request, its body in pieces."""
    given = {"host": "localhost:8000", **headers}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": (client, 5000),
        "headers": [(name.replace("_", "-").encode(), v.encode()) for name, v in given.items()],
    }
    pieces = [
        {"type": "http.request", "body": part, "more_body": n + 1 < len(body)}
        for n, part in enumerate(body)
    ]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return pieces.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await guard(scope, receive, send)
    return Reply(sent)


def reply(guard: Guard, *arguments: Any, **options: Any) -> Reply:
    return asyncio.run(call(guard, *arguments, **options))


def test_a_request_passes() -> None:
    found = reply(Guard(echo, OPEN, Limits()), (b"ab", b"c"))
    assert (found.status, found.body) == (200, b"abc")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8000", "LOCALHOST:1"])
def test_loopback_names_pass(host: str) -> None:
    assert reply(Guard(echo, OPEN, Limits()), host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[", "10.0.0.1"],
)
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    found = reply(Guard(echo, OPEN, Limits()), host=host)
    assert found.status == 421 and "localhost" in found.error


def test_a_server_for_others_answers_to_any_name_but_wants_the_token() -> None:
    guard = Guard(echo, Access("0.0.0.0", TOKEN), Limits())
    assert reply(guard, host="assistant.example").status == 401
    assert reply(guard, host="assistant.example", authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("https://localhost:8000", 200),
        ("http://localhost:3000", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
def test_origin(origin: str, status: int) -> None:
    assert reply(Guard(echo, OPEN, Limits()), origin=origin).status == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer ", 401),
        ("", 401),
    ],
)
def test_token(authorization: str, status: int) -> None:
    found = reply(Guard(echo, CLOSED, Limits()), authorization=authorization)
    assert found.status == status
    if status == 401:
        assert found.headers["www-authenticate"] == "Bearer" and "Authorization" in found.error


def test_open_paths_need_no_token_and_are_not_counted() -> None:
    guard = Guard(echo, CLOSED, Limits(per_minute=1), open_paths=("/healthz",))
    assert [reply(guard, path="/healthz").status for _ in range(3)] == [200] * 3
    assert reply(guard, path="/healthz/x").status == 401


def test_rate() -> None:
    now = [100.0]
    guard = Guard(echo, OPEN, Limits(per_minute=3), clock=lambda: now[0])
    assert [reply(guard).status for _ in range(4)] == [200, 200, 200, 429]
    refused = reply(guard)
    assert refused.headers["retry-after"] == "20" and "3 requests a minute" in refused.error
    assert reply(guard, client="127.0.0.2").status == 200, "each client has its own"
    now[0] += 20
    assert [reply(guard).status for _ in range(2)] == [200, 429]
    now[0] += 3600
    assert [reply(guard).status for _ in range(4)] == [200, 200, 200, 429]


def test_wrong_tokens_are_counted_too() -> None:
    guard = Guard(echo, CLOSED, Limits(per_minute=2), clock=lambda: 0.0)
    assert [reply(guard).status for _ in range(3)] == [401, 401, 429]


def test_clients_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.interfaces.guard._MOST_CLIENTS", 2)
    guard = Guard(echo, OPEN, Limits(per_minute=1), clock=lambda: 0.0)
    assert [reply(guard, client=name).status for name in "aab"] == [200, 429, 200]
    assert reply(guard, client="c").status == 200
    assert reply(guard, client="a").status == 200, "the one that was quiet longest is forgotten"
    assert reply(guard, client="c").status == 429


def test_body_size_by_its_header_and_by_what_comes() -> None:
    guard = Guard(echo, OPEN, Limits(body_bytes=4))
    assert reply(guard, (b"ab", b"cd")).body == b"abcd"
    for found in (reply(guard, (b"",), content_length="5"), reply(guard, (b"ab", b"cde"))):
        assert found.status == 413 and "4 bytes" in found.error


def test_an_upload_may_be_larger_where_one_is_taken() -> None:
    guard = Guard(echo, OPEN, Limits(body_bytes=2, upload_bytes=4), uploads=("/add",))
    assert reply(guard, (b"ab", b"cd"), path="/add").body == b"abcd"
    for pieces in ((b"ab", b"cde"), (b"abcde",)):
        found = reply(guard, pieces, path="/add", content_length=str(sum(map(len, pieces))))
        assert found.status == 413 and "4 bytes" in found.error
    assert reply(guard, (b"abc",), path="/ask").status == 413


def test_a_bad_length_is_no_failure_of_the_server() -> None:
    assert reply(Guard(echo, OPEN, Limits()), content_length="many").status == 200


def test_at_once() -> None:
    async def both() -> list[int]:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            entered.set()
            await leave.wait()
            await echo(scope, receive, send)

        guard = Guard(slow, OPEN, Limits(at_once=1))
        first = asyncio.create_task(call(guard))
        await entered.wait()
        second = await call(guard)
        assert second.headers["retry-after"] == "1" and "under way" in second.error
        listening = asyncio.create_task(call(guard, method="GET"))
        leave.set()
        third = await call(guard, method="GET")
        found = [await first, second, await listening, third, await call(guard)]
        return [reply.status for reply in found]

    assert asyncio.run(both()) == [200, 503, 200, 200, 200]


def test_a_place_is_given_back_when_the_app_fails() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    guard = Guard(fails, OPEN, Limits(at_once=1))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            reply(guard)


def test_websockets_are_guarded_as_well() -> None:
    async def passed(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("it passed")

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"evil.example")]}
    asyncio.run(Guard(passed, OPEN, Limits())(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# The token


def test_token_from_the_environment_and_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert read_access("127.0.0.1", None) == OPEN
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert read_access("0.0.0.0", None) == Access("0.0.0.0", TOKEN)
    path = tmp_path / "token"
    path.write_text("another-token-of-20-letters\n", encoding="utf-8")
    found = read_access("127.0.0.1", path)
    assert found.token == "another-token-of-20-letters"
    assert "another" not in repr(found) and TOKEN not in str(found)


@pytest.mark.parametrize("token", ["", "short", "0123456789 abcdéf", "0123456789abc\ndef"])
def test_a_token_that_cannot_be_used_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(SettingsError, match="at least 16 printable ASCII") as raised:
        read_access("127.0.0.1", None)
    assert not token or token not in str(raised.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=str(tmp_path / "absent")):
        read_access("127.0.0.1", tmp_path / "absent")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "assistant.example"])
def test_serving_others_without_a_token_is_refused(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match=TOKEN_VARIABLE):
        read_access(host, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host) and read_access(host, None).token is None


@pytest.mark.parametrize(
    ("access", "shared"),
    [
        (OPEN, False),
        (Access("::1", None), False),
        (Access("0.0.0.0", None), True),
        (Access("127.0.0.1", None, {"anna": "secret"}), True),
        (Access("127.0.0.1", None, names=("host.example",)), True),
    ],
)
def test_it_is_known_whether_others_are_served(access: Access, shared: bool) -> None:
    assert access.shared == shared


# Accounts, which browsers ask for


def basic(account: str) -> str:
    return f"Basic {base64.b64encode(account.encode()).decode()}"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (basic("anna:päss:word"), 200),
        (basic("anna:other"), 401),
        (basic("bert:päss:word"), 401),
        (basic("anna"), 401),
        ("Basic not base64", 401),
        ("Bearer anna", 401),
        ("", 401),
    ],
)
def test_accounts(authorization: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCOUNTS_VARIABLE, "anna:päss:word\n\nbert:secret")
    guard = Guard(echo, read_accounts("127.0.0.1", None, ""), Limits())
    found = reply(guard, authorization=authorization)
    assert found.status == status
    if status == 401:
        assert found.headers["www-authenticate"].startswith("Basic ")


def test_there_is_no_default_account_and_passwords_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_accounts("127.0.0.1", None, "").accounts == {}
    with pytest.raises(SettingsError, match="--auth"):
        read_accounts("0.0.0.0", None, "")
    file = tmp_path / "accounts"
    for wrong in ("", "anna", "anna:", ":secret"):
        file.write_text(wrong)
        with pytest.raises(SettingsError, match="NAME:PASSWORD"):
            read_accounts("127.0.0.1", file, "")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_accounts("127.0.0.1", tmp_path / "none", "")
    file.write_text("anna:correct horse")
    assert "horse" not in repr(read_accounts("0.0.0.0", file, ""))


@pytest.mark.parametrize("url", ["host.example", "ftp://host.example", "https://"])
def test_a_public_address_is_one_of_the_web(url: str) -> None:
    with pytest.raises(SettingsError, match="https://host/path"):
        read_accounts("127.0.0.1", None, url)


def test_a_proxy_may_call_by_the_public_name() -> None:
    guard = Guard(echo, read_accounts("127.0.0.1", None, "https://host.example/a/"), Limits())
    assert reply(guard, host="host.example", origin="https://host.example").status == 200
    assert reply(guard, host="host.example", origin="https://evil.example").status == 403
    assert reply(guard, host="evil.example").status == 421


def test_files_are_not_counted() -> None:
    guard = Guard(echo, OPEN, Limits(per_minute=1), uncounted=("/assets/",), clock=lambda: 0.0)
    statuses = [
        reply(guard, path=path).status for path in ("/assets/a", "/assets/b", "/", "/", "/assets/c")
    ]
    assert statuses == [200, 200, 200, 429, 200]
