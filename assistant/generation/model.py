"""Messages -> text, piece by piece, from a language model. The only module that imports LangChain.

Whatever goes wrong at the provider's is a ModelFailure whose text is ours: what a server or its
package says may hold the key, and is never repeated.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from contextvars import ContextVar
from copy import copy
from functools import cache
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlsplit

from assistant.errors import SettingsError
from assistant.prompts import Message
from assistant.types import Reply

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

NO_MODEL = "none"
MAX_OUTPUT_CHARS = 8_000
"""After so many characters a reply is cut off."""
MAX_TOKENS = 1_500
MAX_WAIT_S = 5.0
"""The longest pause that a server may ask for and get."""
_TEMPERATURE = 0.0
_POLL_S = 0.05
_EXTRAS = {"openai": "openai", "ollama": "ollama"}


class ModelFailure(Exception):
    """A model gave no whole reply; the text says why, as the end of a sentence."""


class LanguageModel(Protocol):
    """Something that replies to messages."""

    name: str
    timeout_s: float

    def stream(self, messages: Sequence[Message], deadline: float) -> Generator[str, None, None]:
        """The reply, piece by piece; raises ModelFailure. Closing the iterator ends the request.

        deadline: by ``time.monotonic``, when to give up.
        """


class ChatModel:
    """A LangChain chat model with bounds on time and output; ``chat`` is the LangChain object.

    timeout_s: the longest silence, and how long all replies for an answer may take together.
    """

    def __init__(self, name: str, chat: Any, timeout_s: float) -> None:
        self.name, self._chat, self.timeout_s = name, chat, timeout_s
        self._stop = Event()

    def until(self, stop: Event) -> Self:
        """The same model; once ``stop`` is set, its request under way ends and no other begins."""
        same = copy(self)
        same._stop = stop
        return same

    def stream(self, messages: Sequence[Message], deadline: float) -> Generator[str, None, None]:
        """See LanguageModel; a server that asks for a short pause gets it once."""
        chars = 0
        for attempt in (1, 2):
            sent: SimpleQueue[str | Exception | None] = SimpleQueue()
            request = _begin(_read(self._chat.astream(list(messages)), sent.put))
            try:
                while (piece := self._awaited(sent, deadline)) is not None:
                    text = piece[: MAX_OUTPUT_CHARS - chars]
                    chars += len(text)
                    yield text
                    if chars >= MAX_OUTPUT_CHARS:
                        raise ModelFailure("did not come to an end")
                return
            except ModelFailure:
                raise
            except Exception as error:  # whatever the provider's package raises
                wait_s = _asked_to_wait(error)
                if attempt == 2 or chars or wait_s is None or time.monotonic() + wait_s > deadline:
                    raise ModelFailure(_why(error, chars)) from None
                self._stop.wait(wait_s)
            finally:
                request.cancel()

    def _awaited(self, sent: SimpleQueue[str | Exception | None], deadline: float) -> str | None:
        """What comes next of a reply, or None at its end; raises what went wrong."""
        while True:
            if self._stop.is_set():
                raise ModelFailure("was stopped")
            if time.monotonic() > deadline:
                raise ModelFailure(f"took longer than {self.timeout_s:g} seconds")
            try:
                piece = sent.get(timeout=_POLL_S)
            except Empty:
                continue
            if isinstance(piece, Exception):
                raise piece
            return piece


async def _read(chunks: Any, put: Callable[[str | Exception | None], None]) -> None:
    """Put each piece of a reply, as many as are looked at, and None or an exception at its end."""
    chars = 0
    async with AsyncExitStack() as opened:
        _opened.set(opened)
        try:
            async for chunk in chunks:
                put(chunk.text)
                chars += len(chunk.text)
                if chars >= MAX_OUTPUT_CHARS:
                    break
            put(None)
        except Exception as error:  # is raised again where the pieces are taken
            put(error)


_opened: ContextVar[AsyncExitStack | None] = ContextVar("opened", default=None)
"""Closes the generators that a request has opened, those of the packages below included."""


def _close_at_end(generator: AsyncGenerator[Any, Any]) -> None:
    """Have a generator closed with its request, where the request runs.

    Packages leave theirs half read when a reply breaks off. Python's collector would close them from
    whichever thread it runs in, maybe while the loop's thread does ("already executing").
    """
    if opened := _opened.get():
        opened.push_async_callback(generator.aclose)


def _begin(request: Coroutine[Any, Any, None]) -> Future[None]:
    """Run a request in an event loop: only there can it be ended while it waits."""
    from asyncio import run_coroutine_threadsafe

    return run_coroutine_threadsafe(request, _loop())


@cache
def _loop() -> AbstractEventLoop:
    """The one in which all requests run: packages keep connections, which belong to a loop."""
    from asyncio import new_event_loop

    loop = new_event_loop()
    loop.call_soon(sys.set_asyncgen_hooks, _close_at_end)  # once it runs, which sets its own
    Thread(target=loop.run_forever, name="language-models", daemon=True).start()
    return loop


class Replayed:
    """Gives the replies of a record again, in their order."""

    def __init__(self, name: str, replies: Sequence[Reply]) -> None:
        self.name, self.timeout_s, self._replies = name, 0.0, iter(replies)

    def stream(self, messages: Sequence[Message], deadline: float) -> Generator[str, None, None]:
        """See LanguageModel."""
        reply = next(self._replies, Reply("", "gave no further reply"))
        yield reply.text
        if reply.failure:
            raise ModelFailure(reply.failure)


def open_model(name: str, base_url: str, timeout_s: float) -> ChatModel:
    """The model of a provider: ``name`` is "provider:name", ``base_url`` "" for the provider's own.

    The key is read from the provider's environment variable by its package. Raises SettingsError.
    """
    provider, _, model = name.partition(":")
    if not provider or not model:
        raise SettingsError(
            f"'{name[:80]}' names no model. Write provider:name, such as ollama:llama3.2."
        )
    parts = urlsplit(base_url)
    if parts.username or parts.password or (base_url and parts.scheme not in ("http", "https")):
        raise SettingsError(
            "model_base_url has to be an http or https address without a user name or password. "
            "Put the key into the provider's environment variable."
        )
    try:
        from langchain.chat_models import init_chat_model

        chat = init_chat_model(
            model, model_provider=provider, **_options(provider, base_url, timeout_s)
        )
    except ImportError:
        what = (
            f"'safety-guideline-assistant[{_EXTRAS[provider]}]'"
            if provider in _EXTRAS
            else (f"langchain langchain-{provider.replace('_', '-')}")
        )
        raise SettingsError(
            f"The package for models of '{provider}' is not installed. Run `pip install {what}`."
        ) from None
    except Exception as error:  # each provider's package has its own
        raise SettingsError(
            f"The model '{name[:80]}' cannot be opened ({type(error).__name__}). Check the provider's "
            "name and that its key is in the environment."
        ) from None
    return ChatModel(name, chat, timeout_s)


def _options(provider: str, base_url: str, timeout_s: float) -> dict[str, Any]:
    options: dict[str, Any] = {"temperature": _TEMPERATURE}
    if base_url:
        options["base_url"] = base_url
    if provider == "ollama":
        return options | {"num_predict": MAX_TOKENS, "client_kwargs": {"timeout": timeout_s}}
    options |= {"timeout": timeout_s, "max_retries": 0, "max_tokens": MAX_TOKENS}
    if provider == "openai" and base_url and not os.environ.get("OPENAI_API_KEY"):
        options["api_key"] = NO_MODEL  # a local server needs none, the package does
    return options


def _asked_to_wait(error: Exception) -> float | None:
    """The seconds that a refusal for too many requests asks to wait, if they are few."""
    if getattr(error, "status_code", None) != 429:
        return None
    try:
        seconds = float(error.response.headers["retry-after"])  # type: ignore[attr-defined]
    except (AttributeError, KeyError, ValueError):
        return None
    return seconds if 0 <= seconds <= MAX_WAIT_S else None


def _why(error: Exception, chars: int) -> str:
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return "refused the key; check the provider's environment variable"
    if status == 429:
        return "has no capacity now (status 429)"
    if status:
        return f"failed (status {status})"
    if "timeout" in type(error).__name__.casefold():
        return "did not answer in time"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "sent what cannot be read"
    if type(error) is ValueError and not chars:  # how LangChain reports a stream without text
        return "wrote nothing"
    return "broke off" if chars else "could not be reached"
