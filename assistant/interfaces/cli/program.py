"""The command line as a whole; see the package's docstring for its exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Annotated

import typer

from assistant import __version__
from assistant.errors import AssistantError, QuestionError
from assistant.interfaces import render
from assistant.interfaces.cli import answers, corpus, index, library, model, servers

app = typer.Typer(
    help="Cited answers to safety questions about software built on pre-trained models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (answers, corpus, servers):
    app.add_typer(commands.app)
app.add_typer(index.app, name="index")
app.add_typer(servers.feedback_app, name="feedback")
app.add_typer(model.app, name="model")
app.add_typer(library.app)
app.add_typer(corpus.sources_app, name="sources")


class _Interrupted(BaseException):
    """Ctrl-C; of a type of its own, since typer turns KeyboardInterrupt into something else."""


def main() -> None:
    """Run the command line; errors go to standard error in a sentence or two."""
    signal.signal(signal.SIGINT, _interrupt)
    # One question allocates little, and collecting while modules load takes a fifth of the start.
    gc.disable()
    status, message = 0, ""
    try:
        try:
            app(standalone_mode=True)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
    except _Interrupted:
        status, message = (
            130,
            "Interrupted. What was finished is kept; run the same command to go on.",
        )
    except QuestionError as error:
        status, message = 2, str(error)
    except AssistantError as error:
        status, message = 1, str(error)
    except OSError as error:
        # Standard output is closed or full: nothing more can be printed there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        closed = isinstance(error, BrokenPipeError)
        status, message = 1, "" if closed else f"The output cannot be written: {error.strerror}."
    if message:
        print(render.printable(message), file=sys.stderr)
    sys.exit(status)


def _interrupt(number: int, frame: object) -> None:
    raise _Interrupted


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Cited answers to safety questions about software built on pre-trained models."""
