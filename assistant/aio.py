"""The same door for programs with an event loop: ``AsyncAssistant``, over a pool of threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, wraps
from threading import Event, Lock
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from assistant.api import Assistant
from assistant.errors import AssistantClosed
from assistant.index import Progress
from assistant.settings import Settings

WORKERS = 4
"""How many calls run at the same time unless told otherwise."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _awaited(
    method: Callable[Concatenate[Assistant, _P], _T],
) -> Callable[Concatenate[AsyncAssistant, _P], Coroutine[Any, Any, _T]]:
    """The method for an event loop: same arguments, result, errors and docstring, awaited."""

    @wraps(method)
    async def call(self: AsyncAssistant, /, *args: _P.args, **options: _P.kwargs) -> _T:
        return await self._run(method, self.assistant, *args, **options)

    return call


def _awaited_with_stop(
    method: Callable[Concatenate[Assistant, _P], _T],
) -> Callable[Concatenate[AsyncAssistant, _P], Coroutine[Any, Any, _T]]:
    """As _awaited, for a method that may wait for a model."""

    @wraps(method)
    async def call(self: AsyncAssistant, /, *args: _P.args, **options: _P.kwargs) -> _T:
        with _stopped(options):
            return await self._run(method, self.assistant, *args, **options)

    return call


def _iterated(
    method: Callable[Concatenate[Assistant, _P], Generator[_T, None, None]],
) -> Callable[Concatenate[AsyncAssistant, _P], AsyncIterator[_T]]:
    """The method for ``async for``: each piece is made in the pool when it is asked for."""

    @wraps(method)
    async def pieces(
        self: AsyncAssistant, /, *args: _P.args, **options: _P.kwargs
    ) -> AsyncIterator[_T]:
        with _stopped(options):
            made = _Pieces(await self._run(method, self.assistant, *args, **options))
            try:
                while piece := await self._run(made.next):
                    yield piece[0]
            except BaseException:
                _aside(made.close)
                raise

    return pieces


class _Pieces(Generic[_T]):
    """A generator that one thread may close after another has got what it waits for."""

    def __init__(self, made: Generator[_T, None, None]) -> None:
        self._made, self._lock = made, Lock()

    def next(self) -> tuple[_T] | None:
        """The next piece, or None at the end: StopIteration cannot be raised through a future."""
        with self._lock:
            for piece in self._made:
                return (piece,)
            return None

    def close(self) -> None:
        """End it, with its request to a model."""
        with self._lock:
            self._made.close()


@contextmanager
def _stopped(options: dict[str, Any]) -> Iterator[None]:
    """Stop a call's model when nobody waits for the call any more."""
    options["stop"] = stop = options.get("stop") or Event()
    try:
        yield
    except BaseException:
        stop.set()
        raise


class AsyncAssistant:
    """An assistant that never blocks the event loop. Use with ``async with``, or await ``aclose``.

    Its methods are those of Assistant, awaited (``stream``: iterated with ``async for``). They run
    in a pool of ``workers`` threads of its own; further calls wait their turn. Cancelling a call
    that waits takes it out of the queue; the result of one that runs already is dropped, and a model
    that it waits for is stopped.

    ``assistant``: what it wraps and, from then on, owns.
    """

    def __init__(self, assistant: Assistant, *, workers: int = WORKERS) -> None:
        self.assistant = assistant
        self._pool = _pool(workers)

    @classmethod
    async def open(
        cls,
        settings: Settings | None = None,
        *,
        build: bool = True,
        progress: Progress | None = None,
        workers: int = WORKERS,
    ) -> AsyncAssistant:
        """Open the index as ``Assistant.open`` does, with the same errors, in a thread.

        ``progress`` is called from that thread. If the opening is cancelled it runs to its end
        there, and what it opened is closed.
        """
        opening = _aside(partial(Assistant.open, settings, build=build, progress=progress))
        try:
            return cls(await asyncio.wrap_future(opening), workers=workers)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise

    ask = _awaited_with_stop(Assistant.ask)
    stream = _iterated(Assistant.stream)
    replay = _awaited(Assistant.replay)
    checklist = _awaited(Assistant.checklist)
    search = _awaited(Assistant.search)
    confidence = _awaited(Assistant.confidence)
    provision = _awaited(Assistant.provision)
    related = _awaited(Assistant.related)
    document = _awaited(Assistant.document)
    sources = _awaited(Assistant.sources)
    coverage = _awaited(Assistant.coverage)
    collections = _awaited(Assistant.collections)
    official = _awaited(Assistant.official)
    fetch = _awaited(Assistant.fetch)

    async def aclose(self) -> None:
        """Let the calls under way end, then release files and threads; twice does nothing more."""
        self._pool.shutdown(wait=False)
        await asyncio.wrap_future(_aside(self._close))

    def _close(self) -> None:
        self._pool.shutdown()
        self.assistant.close()

    async def _run(self, function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        try:
            call = self._pool.submit(function, *args, **options)
        except RuntimeError as error:
            raise AssistantClosed from error
        return await asyncio.wrap_future(call)

    async def __aenter__(self) -> AsyncAssistant:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="safety-assistant")


def _aside(function: Callable[[], _T]) -> Future[_T]:
    """Run a function in a thread that ends with it."""
    pool = _pool(1)
    future = pool.submit(function)
    pool.shutdown(wait=False)
    return future


def _close_unused(opening: Future[Assistant]) -> None:
    if not opening.cancelled() and not opening.exception():
        opening.result().close()
