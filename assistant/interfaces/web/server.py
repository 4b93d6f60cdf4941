"""The process behind the page: one port, one app, ended by Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.documents import load_corpus
from assistant.errors import SettingsError
from assistant.interfaces import feedback
from assistant.interfaces.limits import AtOnce, Guard, PerClient
from assistant.interfaces.web.opening import Opening
from assistant.settings import Settings

ACCOUNT = "SAFETY_ASSISTANT_AUTH"
"""The environment variable that may hold USER:PASSWORD."""
_MAX_BODY_BYTES = 64 * 1024
_WAIT_S = 10.0
_LOOKED_UP_PER_QUESTION = 10


@dataclass(frozen=True, slots=True)
class Serving:
    """How the page is served.

    root_path: the prefix under which a reverse proxy shows it, such as ``/safety``; else "".
    users: passwords by name, empty for none. per_minute: questions of one client. at_once: answers
    under way at a time.
    """

    host: str
    port: int
    root_path: str
    users: Mapping[str, str]
    per_minute: int
    at_once: int
    browser: bool


def read_users(path: Path | None) -> dict[str, str]:
    """Passwords by name: lines USER:PASSWORD of a file, else of the environment, else none.

    Raises SettingsError for a file that cannot be read or a line of another form.
    """
    try:
        given = path.read_text("utf-8") if path else os.environ.get(ACCOUNT, "")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Name a readable file.") from error
    users = {}
    for line in filter(None, map(str.strip, given.splitlines())):
        name, _, password = line.partition(":")
        if not name or not password:
            raise SettingsError(
                f"{path or ACCOUNT} has a line that is not USER:PASSWORD. Correct it."
            )
        users[name] = password
    if path and not users:
        raise SettingsError(f"{path} names no user. Write a line USER:PASSWORD into it.")
    return users


def serve(settings: Settings, serving: Serving) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Raises SettingsError if the port cannot be had, and CorpusError for a corpus that is not sound; a
    missing index is built while the page shows how far it is.
    """
    bound = _bound(serving.host, serving.port)
    corpus = load_corpus(settings.corpus)

    import fastapi
    import gradio
    import uvicorn

    from assistant.interfaces.web import page, reading

    opening = Opening(settings)
    per_client, at_once = PerClient(serving.per_minute), AtOnce(serving.at_once, _WAIT_S)
    app = fastapi.FastAPI(
        routes=[*reading.routes(opening, feedback.default_file())], openapi_url=None
    )
    blocks = page.frame(corpus, opening, per_client, at_once)
    gradio.mount_gradio_app(
        app,
        blocks,
        "/",
        root_path=serving.root_path or None,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        theme=page.theme(),
        css=page.style(),
        head=page.head(),
        app_kwargs={"openapi_url": None},
    )
    looked_up = PerClient(serving.per_minute * _LOOKED_UP_PER_QUESTION)
    guarded = Guard(
        app,
        serving.users,
        looked_up,
        limited=("/read/", "/feedback"),
        closed=("/gradio_api/upload", "/gradio_api/run", "/gradio_api/call"),
        max_body_bytes=_MAX_BODY_BYTES,
    )
    server = uvicorn.Server(
        uvicorn.Config(guarded, log_level="critical", timeout_graceful_shutdown=1)
    )
    _announce(serving, bound)
    # The command line collects no garbage, which is for commands of a second.
    gc.enable()
    gc.freeze()
    # uvicorn raises the signal again when it has ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        server.run(sockets=[bound])
    finally:
        opening.close()
    print("Stopped.", file=sys.stderr)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise SettingsError(
            f"Port {port} of {host} cannot be used: {error.strerror}. Name another one with --port, "
            "0 for any that is free, or end the program that uses it."
        ) from error
    return bound


def _announce(serving: Serving, bound: socket.socket) -> None:
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    address = f"http://{host}:{bound.getsockname()[1]}/"
    print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
    if not serving.users and serving.host not in ("127.0.0.1", "::1", "localhost"):
        print("Whoever reaches this machine can ask; --auth asks for a password.", file=sys.stderr)
    if serving.browser:
        threading.Timer(0.5, webbrowser.open, [address]).start()
