"""The process behind the page: what the browser asks for, Gradio's frame, and the guard before both."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from socket import socket

import gradio
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from assistant.documents import load_corpus
from assistant.interfaces import feedback
from assistant.interfaces.guard import Access, App, Guard, Limits, Message, Receive, Scope, Send
from assistant.interfaces.serving import Opening, serve, settle_in
from assistant.interfaces.web import page, reading
from assistant.interfaces.web.documents import MOST_BYTES
from assistant.interfaces.web.keeping import UPLOAD, Keeping
from assistant.interfaces.web.stopping import Stops
from assistant.settings import Settings

_NEVER_USED = ("upload", "run/{name:path}", "call/{name:path}", "proxy={name:path}")
_FILES = ("/assets/", "/static/", "/theme.css")
_HEADERS: Mapping[str, str] = {
    # Nothing from elsewhere, said to the browser too; Gradio needs inline and evaluated scripts.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def serve_page(
    settings: Settings,
    bound: socket,
    access: Access,
    limits: Limits,
    public_url: str = "",
    changes: bool = False,
    browser: bool = False,
) -> None:
    """Serve the page at a bound socket until Ctrl-C.

    public_url: where a reverse proxy on this machine shows the page, "" for none. changes: whether
    documents may be added and removed on it. browser: open it there.
    """
    settle_in()
    if browser:
        address = public_url or "http://{}:{}/".format(*bound.getsockname()[:2])
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
    make = partial(make_app, settings, access, limits, public_url, changes)
    serve(make, bound, "/", proxied=bool(public_url), streams=True)


def make_app(
    settings: Settings,
    access: Access,
    limits: Limits,
    public_url: str = "",
    changes: bool = False,
) -> App:
    """The page as an ASGI app behind its guard; opens the index, or builds it, when it starts.

    Raises CorpusError if the corpus cannot be read.
    """
    opening = Opening(settings)
    keeping = Keeping(opening, changes)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        opening.start()
        yield
        keeping.close()
        await run_in_threadpool(opening.close)

    def gone(_: object) -> PlainTextResponse:
        return PlainTextResponse("There is nothing here.", 404)

    closed = [Route(f"/gradio_api/{path}", gone, methods=["GET", "POST"]) for path in _NEVER_USED]
    stops = Stops()
    reads = reading.routes(opening, feedback.default_file())
    routes: list[BaseRoute] = [*closed, *reads, *keeping.routes(), stops.route()]
    app = FastAPI(routes=routes, openapi_url=None, lifespan=lifespan)
    gradio.mount_gradio_app(
        app,
        page.frame(
            load_corpus(settings.corpus), opening, limits.at_once, stops, settings.model, changes
        ),
        "/",
        root_path=public_url or None,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        theme=page.theme(),
        css=page.style(),
        head=page.head(),
        app_kwargs={"openapi_url": None},
    )
    taken = Limits(per_minute=limits.per_minute, upload_bytes=MOST_BYTES)
    guard = Guard(app, access, taken, uncounted=_FILES, uploads=(UPLOAD,) if changes else ())
    return _with_headers(guard)


def _with_headers(app: App) -> App:
    added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await app(scope, receive, sending)

    return served
