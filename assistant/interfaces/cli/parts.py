"""What commands share: options, an opened assistant, progress, and output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from assistant.api import Assistant
from assistant.index import Progress
from assistant.interfaces import render
from assistant.settings import load_settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Phase = Annotated[
    list[str] | None, typer.Option("--phase", help="Lifecycle phase; may be repeated.")
]
Kind = Annotated[
    list[str] | None, typer.Option("--kind", help="Cite this kind of source only; may be repeated.")
]
Jurisdiction = Annotated[
    list[str] | None,
    typer.Option("--jurisdiction", help="Cite this jurisdiction only; may be repeated."),
]
Collection = Annotated[
    list[str] | None,
    typer.Option(
        "--collection", help="Cite this collection of your documents only; 'shipped' is the corpus."
    ),
]
Without = Annotated[list[str] | None, typer.Option("--without", help="Leave this collection out.")]

Model = Annotated[
    str | None,
    typer.Option("--model", help='Language model that writes: provider:name, or "none".'),
]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="Address of the model's server.")]


@contextmanager
def opened(build: bool = True, **settings: str | None) -> Iterator[Assistant]:
    """The assistant; where the index is missing or out of date it is built, with a progress bar."""
    with progress_bar() as progress:
        assistant = Assistant.open(load_settings(**settings), build=build, progress=progress)
    with assistant:
        yield assistant


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on standard error for each stage; appears when the first stage begins."""
    bar: Any = None
    tasks: dict[str, Any] = {}

    def advance(stage: str, done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

            columns = (
                "{task.description}",
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            bar = Progress(*columns, console=render.console(stderr=True))
            bar.start()
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total)
        bar.update(tasks[stage], completed=done, total=total)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()


def output(as_json: bool, data: Any, rendered: Callable[[], Any]) -> None:
    """Print data as JSON, or what is rendered of it."""
    if as_json:
        print_json(data)
    else:
        render.console().print(rendered())


def print_json(data: Any) -> None:
    """Print data as JSON that a person can read; paths become texts."""
    print(json.dumps(data, ensure_ascii=False, indent=2, default=str))
