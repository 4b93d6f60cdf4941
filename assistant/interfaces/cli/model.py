"""The command that tries a language model."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from assistant.interfaces.cli.parts import BaseUrl
from assistant.settings import load_settings
from assistant.writing import check_model

app = typer.Typer(help="Try a language model.", no_args_is_help=True)


@app.command("check")
def model_check(
    model: Annotated[
        str | None, typer.Argument(help="provider:name; that of the settings unless given.")
    ] = None,
    base_url: BaseUrl = None,
) -> None:
    """Say whether a language model answers, streams, and keeps the citation format."""
    settings = load_settings(model=model, model_base_url=base_url)
    found = check_model(settings.model, settings.model_base_url, settings.model_timeout_s)
    marks = {"answers": found.answers, "streams": found.streams, "cites": found.cites}
    for name, good in marks.items():
        print(f"{name}: {'yes' if good else 'no'}")
    if found.problem:
        print(f"The language model {found.problem}.", file=sys.stderr)
    if found.problem or not all(marks.values()):
        raise typer.Exit(1)
