"""What a long-lived server needs: the assistant opened beside it, and a socket to serve it at."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from assistant.api import Assistant
from assistant.errors import IndexBusy, SettingsError
from assistant.interfaces.guard import App
from assistant.settings import Settings

_POLL_S = 0.05
_LEAVING_S = 15.0
"""How long a build that is given up may take to come to its next step, on a busy machine."""


class Opening:
    """An assistant that is opened in a thread of its own, once, and built first if need be.

    ``steps`` grows while the index is built; ``doing`` says in words how far it is, ``done`` and ``total``
    in steps of the stage under way. Each tenth of a stage is also printed to standard error. After a
    failure the next ``start`` tries again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._future: Future[Assistant] | None = None
        self._thread: threading.Thread | None = None
        self._given_up = False
        self._lock = threading.Lock()
        self.steps = self.done = self.total = 0
        self.doing = "The index is being opened"

    def start(self) -> Future[Assistant]:
        """Begin, unless it has begun; the future holds the assistant or the AssistantError."""
        with self._lock:
            if self._future is None or (self._future.done() and self._future.exception()):
                self._future = Future()
                # A daemon, since it may be waiting for another process that builds.
                self._thread = threading.Thread(target=self._open, args=[self._future], daemon=True)
                self._thread.start()
            return self._future

    def _open(self, future: Future[Assistant]) -> None:
        try:
            future.set_result(Assistant.open(self._settings, progress=self._advance))
        except _GivenUp as error:
            future.set_exception(error)
        except Exception as error:
            print(error, file=sys.stderr, flush=True)
            future.set_exception(error)

    def _advance(self, stage: str, done: int, total: int) -> None:
        if self._given_up:
            raise _GivenUp
        self.steps += 1
        self.done, self.total = done, total
        self.doing = f"The index is being built ({stage}: {done} of {total})"
        if done == total or done * 10 // total > (done - 1) * 10 // total:
            print(f"{stage}: {done} of {total}", file=sys.stderr, flush=True)

    async def ready(self, report: Callable[[int, str], Awaitable[None]]) -> Assistant:
        """The assistant, when it is open; until then ``report`` is told steps and words as they change.

        Raises what ``Assistant.open`` raises. May be cancelled; the opening goes on.
        """
        future, told = self.start(), -1
        while not future.done():
            if self.steps != told:
                told = self.steps
                await report(told, self.doing)
            await asyncio.sleep(_POLL_S)
        return future.result()

    def now(self) -> Assistant:
        """The assistant if it is open.

        Raises IndexBusy while it is being opened, and what ``Assistant.open`` raised if that failed;
        then it is tried again.
        """
        future = self._future or self.start()
        if not future.done():
            raise IndexBusy(f"{self.doing}. Ask again in a few seconds.")
        if future.exception():
            self.start()
        return future.result()

    def close(self) -> None:
        """Close the assistant if it is open; a build under way is given up, and what was there stays."""
        self._given_up = True
        if self._future is None or self._thread is None:
            return
        # Libraries abort the process where it ends while they start threads of their own.
        self._thread.join(_LEAVING_S)
        if self._future.done() and not self._future.exception():
            self._future.result().close()


class _GivenUp(Exception):
    """The server ends while its index is being built."""


def settle_in() -> None:
    """Make a process of the command line fit to live long: collect garbage, end on Ctrl-C, log plainly."""
    gc.enable()
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.default_int_handler)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes a free one. Raises SettingsError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"{host} port {port} cannot be served: {error}. "
            "Stop what runs there, or choose another with --port; 0 takes a free one."
        ) from error


def serve(
    make_app: Callable[[], App],
    bound: socket.socket,
    path: str,
    workers: int = 1,
    *,
    proxied: bool = False,
    streams: bool = False,
) -> None:
    """Serve until Ctrl-C, in as many processes; ``make_app`` is called in each and must be picklable.

    The address is printed to standard error. Requests are not logged. proxied: what a proxy on this
    machine says in X-Forwarded-For is taken as the client. streams: there are responses without an end
    of their own, so that the server hangs up when it is to end.
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for connection in self.server_state.connections if streams else ():
                connection.transport.abort()
            await super().shutdown(sockets)

    settings: dict[str, Any] = {
        "factory": True,
        "workers": workers,
        "log_config": None,
        "log_level": "warning",
        "access_log": False,
        "proxy_headers": proxied,
        "server_header": False,
        "ws": "none",
        "timeout_graceful_shutdown": 5,
    }
    config = uvicorn.Config(make_app, **settings)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"Serving http://{shown}:{port}{path} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    try:
        if workers > 1:
            Multiprocess(config, [bound]).run()
        else:
            Server(config).run([bound])
    except KeyboardInterrupt:
        pass
    finally:
        bound.close()
