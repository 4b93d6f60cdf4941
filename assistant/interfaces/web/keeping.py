"""What the browser changes in the library: adds, removes, refreshes, releases; and takes away as a file.

Changes are made one after another, in threads of their own, and go on if the browser leaves.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from assistant.errors import AssistantError
from assistant.interfaces.serving import Opening
from assistant.interfaces.web import documents
from assistant.library import Held, Library, LibraryDocument, Report

UPLOAD = "/documents/add"
"""The path that takes files."""
_TOLD_EVERY_S = 0.5
_LEAVING_S = 5.0
_WAITING = {"doing": "Waiting for another change", "done": 0, "total": 0}
_Progress = Callable[[str, int, int], None]
_Change = Callable[[_Progress], dict[str, Any]]


class Keeping:
    """The routes under ``documents``; changes: whether they may change anything.

    Changes are sent with PUT, which a page from elsewhere cannot send. The response is a JSON object a
    line: ``doing``, ``done`` and ``total`` while it goes on; at last ``html`` and ``states``, the report
    and the state of each of its lines, or ``refused``, why nothing was done.
    """

    def __init__(self, opening: Opening, changes: bool) -> None:
        self._opening, self._changes = opening, changes
        self._turn = threading.Lock()

    def routes(self) -> list[Route]:
        """All routes."""
        changes = {
            UPLOAD: self._add,
            "/documents/refresh": self._refresh,
            "/documents/remove": self._remove,
            "/documents/release": self._release,
        }
        return [
            Route("/documents", self._list),
            Route("/documents/export", self._export),
            *(
                Route(path, partial(self._allowed, change), methods=["PUT"])
                for path, change in changes.items()
            ),
        ]

    def close(self) -> None:
        """Let no further change begin, and wait for the one under way, though not for long.

        What is broken off leaves the library as it was before.
        """
        self._turn.acquire(timeout=_LEAVING_S)

    def _list(self, request: Request) -> Response:
        try:
            library = self._opening.now().library
            found = documents.listing(library.documents(), library.quarantined(), self._changes)
            return HTMLResponse(found)
        except AssistantError as error:
            return PlainTextResponse(str(error), 503)

    def _export(self, request: Request) -> Response:
        if not self._changes:
            return PlainTextResponse(documents.NOT_HERE, 403)
        folder = TemporaryDirectory()
        target = Path(folder.name) / "documents.jsonl"
        try:
            self._opening.now().library.export(target)
        except AssistantError as error:
            folder.cleanup()
            return PlainTextResponse(str(error), 503)
        return FileResponse(target, filename=target.name, background=BackgroundTask(folder.cleanup))

    async def _allowed(
        self, change: Callable[[Library, Request], Awaitable[Response]], request: Request
    ) -> Response:
        if not self._changes:
            return PlainTextResponse(documents.NOT_HERE, 403)
        try:
            library = self._opening.now().library
        except AssistantError as error:
            return PlainTextResponse(str(error), 503)
        return await change(library, request)

    async def _add(self, library: Library, request: Request) -> Response:
        """Add the file that the body is; ``name`` and what it counts as are in the query."""
        query = request.query_params
        file = TemporaryFile()  # noqa: SIM115 - the change closes it
        try:
            async for chunk in request.stream():
                file.write(chunk)
        except ClientDisconnect:
            file.close()
            return PlainTextResponse("The file did not arrive whole. Send it again.", 400)

        def add(progress: _Progress) -> dict[str, Any]:
            with file:
                file.seek(0)
                data = file.read()
            report = library.add_bytes(
                query.get("name", ""),
                data,
                collection=query.get("collection", ""),
                kind=query.get("kind"),
                binding=query.get("binding"),
                jurisdiction=query.get("jurisdiction"),
                phase=query.getlist("phase"),
                progress=progress,
            )
            return _told(report)

        return self._change(add)

    async def _refresh(self, library: Library, request: Request) -> Response:
        return self._change(lambda progress: _told(library.refresh(progress=progress)))

    async def _remove(self, library: Library, request: Request) -> Response:
        names = request.query_params.getlist("name")
        collection = request.query_params.get("collection")
        return self._change(
            lambda _: _lines("removed", library.remove(names, collection=collection))
        )

    async def _release(self, library: Library, request: Request) -> Response:
        names = request.query_params.getlist("name")
        return self._change(lambda _: _lines("released", library.release(names)))

    def _change(self, change: _Change) -> Response:
        """Make a change when its turn comes, and tell how far it is."""
        state: dict[str, Any] = {"doing": "Working", "done": 0, "total": 0}

        def advance(stage: str, done: int, total: int) -> None:
            state.update(doing=stage, done=done, total=total)

        made: Future[dict[str, Any]] = Future()

        def make() -> None:
            with self._turn:
                made.set_running_or_notify_cancel()
                try:
                    made.set_result(change(advance))
                except AssistantError as error:
                    made.set_result({"refused": str(error)})
                except Exception as error:
                    made.set_exception(error)

        # A daemon, since embedding a long document takes minutes, and Ctrl-C ends the server.
        threading.Thread(target=make, daemon=True).start()

        async def told() -> AsyncIterator[str]:
            waiting = asyncio.wrap_future(made)
            while not waiting.done():
                yield json.dumps(state if made.running() else _WAITING) + "\n"
                await asyncio.wait([waiting], timeout=_TOLD_EVERY_S)
            yield json.dumps(waiting.result()) + "\n"

        return StreamingResponse(told(), media_type="application/x-ndjson")


def _told(report: Report) -> dict[str, Any]:
    states = [outcome.state for outcome in report.outcomes]
    return {"html": documents.report(report), "states": states}


def _lines(state: str, entries: Sequence[Held | LibraryDocument]) -> dict[str, Any]:
    lines = [documents.line(state, entry.id) for entry in entries]
    return {"html": "".join(lines), "states": [state] * len(lines)}
