"""The commands that serve: mcp, serve and chat; and what readers of the chat page thought."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assistant.interfaces.guard import Limits, read_access, read_accounts
from assistant.settings import load_settings

app = typer.Typer()
feedback_app = typer.Typer(help="What readers of the chat page thought.", no_args_is_help=True)

_LIMITS = Limits()
Host = Annotated[
    str, typer.Option("--host", help="Address to serve; others than loopback need a token.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with the token; else SAFETY_ASSISTANT_TOKEN."),
]
PerMinute = Annotated[
    int, typer.Option("--per-minute", min=1, help="Requests of one client a minute.")
]
AtOnce = Annotated[int, typer.Option("--at-once", min=1, help="Requests under way at once.")]


@app.command()
def mcp(
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP, not standard input and output.")
    ] = False,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 8001,
    token_file: TokenFile = None,
    per_minute: PerMinute = _LIMITS.per_minute,
    at_once: AtOnce = _LIMITS.at_once,
) -> None:
    """Serve editors and coding agents over the Model Context Protocol; see docs/mcp.md."""
    access = read_access(host, token_file) if http else None
    from assistant.interfaces import mcp as server
    from assistant.interfaces.serving import listen

    if access is None:
        server.serve_stdio(load_settings())
    else:
        limits = Limits(per_minute=per_minute, at_once=at_once)
        server.serve_http(load_settings(), listen(host, port), access, limits)


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 8000,
    token_file: TokenFile = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that serve.")] = 1,
    per_minute: PerMinute = _LIMITS.per_minute,
    at_once: AtOnce = _LIMITS.at_once,
) -> None:
    """Serve JSON over HTTP, described at /openapi.json; see docs/http.md."""
    access = read_access(host, token_file)
    from assistant.interfaces import http as server
    from assistant.interfaces.serving import listen

    limits = Limits(per_minute=per_minute, at_once=at_once)
    server.serve_http(load_settings(), listen(host, port), access, limits, workers)


@app.command()
def chat(
    host: Annotated[
        str, typer.Option("--host", help="Address to serve; others than loopback need --auth.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 7860,
    auth: Annotated[
        Path | None,
        typer.Option(help="File with lines NAME:PASSWORD; else SAFETY_ASSISTANT_AUTH; else none."),
    ] = None,
    public_url: Annotated[
        str,
        typer.Option(help="Where a proxy on this machine shows it: https://host.example/safety."),
    ] = "",
    per_minute: PerMinute = _LIMITS.per_minute,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="Answers under way at once.")
    ] = 8,
    documents: Annotated[
        bool | None,
        typer.Option(
            help="Let documents be added and removed on it; else only if no others are served."
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open the chat page: ask, read, check and take away; see docs/page.md."""
    from assistant.interfaces.serving import listen

    access = read_accounts(host, auth, public_url)
    bound = listen(host, port)
    from assistant.interfaces.web.server import serve_page

    limits = Limits(per_minute=per_minute, at_once=at_once)
    changes = not access.shared if documents is None else documents
    serve_page(load_settings(), bound, access, limits, public_url, changes, browser)


@feedback_app.command("export")
def feedback_export() -> None:
    """Print what readers found helpful as eval questions, one JSON object a line."""
    from assistant.interfaces import feedback

    kept = feedback.load(feedback.default_file())
    for question in feedback.questions(kept):
        print(json.dumps(question, ensure_ascii=False))
    wanting = sum(given.verdict == "down" for _, given in kept)
    if wanting:
        print(
            f"{wanting} answers were not helpful and need a person's gold: "
            "`safety-assistant feedback list`.",
            file=sys.stderr,
        )


@feedback_app.command("list")
def feedback_list() -> None:
    """Print all feedback with its comments, one JSON object a line."""
    from assistant.interfaces import feedback

    for number, given in feedback.load(feedback.default_file()):
        print(json.dumps({"id": number, **asdict(given)}, ensure_ascii=False))
