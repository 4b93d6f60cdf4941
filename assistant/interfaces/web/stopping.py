"""Answers under way that their reader may stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Stops:
    """What stops each answer under way, by a key that only the page knows that asked."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}

    @contextmanager
    def under_way(self, key: str) -> Iterator[Event]:
        """An event that is set when the reader says so, or goes."""
        self._events[key] = event = Event()
        try:
            yield event
        finally:
            del self._events[key]

    def route(self) -> Route:
        """The address to which a page sends the key of an answer; what is over is stopped too."""
        return Route("/stop", self._stop, methods=["POST"])

    async def _stop(self, request: Request) -> Response:
        if event := self._events.get((await request.body()).decode(errors="replace")):
            event.set()
        return Response(status_code=204)
