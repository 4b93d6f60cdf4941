"""A server on loopback that speaks the OpenAI protocol and replies what it is told to.

with OpenAIServer(lambda request: words("A sentence. [S1]")) as server:
    load_settings(model="openai:scripted", model_base_url=server.url)
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PASSAGE = re.compile(r'^\{"key": .*\}$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent: the body, its headers, and the passages in it."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """All messages, one after the other."""
        return "\n".join(message["content"] for message in self.body["messages"])

    @property
    def passages(self) -> list[dict[str, str]]:
        """Each with key, source and text."""
        return [json.loads(line) for line in PASSAGE.findall(self.text)]

    @property
    def repairs(self) -> bool:
        """Whether it asks again for a sentence."""
        return len(self.body["messages"]) > 2


@dataclass(frozen=True, slots=True)
class Response:
    """What the server sends; pieces: the body, in parts as they are written.

    end: "close", or "hang" (nothing more comes, the connection stays), or "drop" (it is reset).
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] = ()
    end: str = "close"


def event(text: str) -> bytes:
    """A piece of a reply as a server-sent event."""
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def words(text: str, end: str = "close") -> Response:
    """A reply word by word."""
    pieces = [event(word) for word in re.findall(r"\s*\S+|\s+", text)]
    return Response(pieces=[*pieces, DONE] if end == "close" else pieces, end=end)


Script = Callable[[Request], Response]


class OpenAIServer:
    """Serves from ``__enter__`` to ``__exit__``; requests: those so far.

    gone: set when a client closed the connection before the reply's end.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.gone = threading.Event()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(body, headers)
                owner.requests.append(request)
                response = owner.script(request)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    for piece in response.pieces:
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    owner.gone.set()
                    return
                if response.end == "hang":
                    self._wait()
                elif response.end == "drop":
                    # Zero linger: the connection is reset, not ended.
                    linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()

            def _wait(self) -> None:
                """Until the client goes, or the server ends."""
                self.connection.settimeout(0.02)
                while not owner._ended.is_set():
                    try:
                        if not self.connection.recv(1):
                            owner.gone.set()
                            return
                    except TimeoutError:
                        continue
                    except OSError:
                        owner.gone.set()
                        return

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        return Handler


def endless(line: str) -> Iterator[bytes]:
    """The same piece again and again."""
    while True:
        yield event(line)
