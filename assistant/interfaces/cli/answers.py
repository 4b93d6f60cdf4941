"""The commands that answer: ask and talk."""

from __future__ import annotations

import gc
import json
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assistant.api import Assistant
from assistant.code_context import CodeContext
from assistant.conversation import HISTORY
from assistant.errors import QuestionError
from assistant.generation import NO_MODEL
from assistant.interfaces import render
from assistant.interfaces.cli.parts import (
    AsJson,
    BaseUrl,
    Collection,
    Jurisdiction,
    Kind,
    Model,
    Phase,
    Without,
    opened,
    output,
)
from assistant.types import Answer, Record, Said

app = typer.Typer()


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    phase: Phase = None,
    kind: Kind = None,
    jurisdiction: Jurisdiction = None,
    collection: Collection = None,
    without: Without = None,
    file: Annotated[
        str | None,
        typer.Option("--file", help="Code that it is about: PATH, or PATH:FIRST-LAST by lines."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="The list of its dependencies.")
    ] = None,
    model: Model = None,
    base_url: BaseUrl = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="Write what a model was given and sent.")
    ] = None,
    as_json: AsJson = False,
    as_lines: Annotated[
        bool,
        typer.Option(
            "--jsonl", help="Print each statement as it is verified, then the answer: JSON Lines."
        ),
    ] = False,
) -> None:
    """Answer a question from the sources, or say that they do not cover it."""
    path, first, last = _lines_of(file or "")
    code = None
    if file or manifest:
        lines = _text_of(path).split("\n")[first - 1 : last] if path else []
        code = CodeContext(
            path=path,
            selection="\n".join(lines),
            manifest=_text_of(str(manifest)) if manifest else "",
        )
    records: list[Record] = []
    with opened(model=model, model_base_url=base_url) as assistant:
        pieces = assistant.stream(
            question,
            code=code,
            phase=phase,
            kind=kind,
            jurisdiction=jurisdiction,
            collection=collection,
            without=without,
            record=records.append,
        )
        with closing(pieces):
            if as_lines:
                for piece in pieces:
                    print(json.dumps(asdict(piece), ensure_ascii=False), flush=True)
            else:
                answer = _whole(pieces, live=_writes(assistant) and not as_json)
                output(as_json, answer.to_dict(), lambda: render.answer(answer, first))
    if record is not None:
        text = json.dumps([entry.to_dict() for entry in records], ensure_ascii=False, indent=1)
        record.write_text(text, encoding="utf-8")


def _writes(assistant: Assistant) -> bool:
    """Whether a language model writes, so that an answer takes its time."""
    return assistant.settings.model != NO_MODEL


def _whole(pieces: Iterator[Said | Answer], live: bool) -> Answer:
    """The whole answer; a person at a terminal sees each statement until it is there."""
    if not (live and sys.stdout.isatty()):
        *_, answer = pieces
        assert isinstance(answer, Answer)
        return answer
    from rich.live import Live

    said: list[Said] = []
    with Live(render.under_way(said), console=render.console(), transient=True) as view:
        for piece in pieces:
            if isinstance(piece, Answer):
                return piece
            said.append(piece)
            view.update(render.under_way(said), refresh=True)
    raise AssertionError("a stream ends with its answer")


def _lines_of(file: str) -> tuple[str, int, int | None]:
    """Path, first and last line of what ``--file`` names; a path alone is all of it."""
    match = re.fullmatch(r"(.+):(\d{1,9})-(\d{1,9})", file)
    if match is None:
        return file, 1, None
    first, last = int(match[2]), int(match[3])
    if not 1 <= first <= last:
        raise QuestionError(
            f"There are no lines {first}-{last}. Count from 1, the first one first."
        )
    return match[1], first, last


def _text_of(path: str) -> str:
    """The text of a user's file; raises QuestionError if it cannot be read, showing none of it."""
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise QuestionError(f"{path} cannot be read: {why}. Name a file of source text.") from None


@app.command()
def talk(
    phase: Phase = None,
    kind: Kind = None,
    jurisdiction: Jurisdiction = None,
    model: Model = None,
    base_url: BaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one answer a line.")] = False,
) -> None:
    """Answer one question a line, each after what was asked before it; an empty line ends."""
    gc.enable()
    history: list[Answer] = []
    with opened(model=model, model_base_url=base_url) as assistant:
        for question in _lines():
            try:
                pieces = assistant.stream(
                    question, phase=phase, kind=kind, jurisdiction=jurisdiction, history=history
                )
                with closing(pieces):
                    answer = _whole(pieces, live=_writes(assistant) and not as_json)
            except QuestionError as error:
                print(render.printable(str(error)), file=sys.stderr)
                continue
            history = [*history, answer][-HISTORY:]
            if as_json:
                print(json.dumps(answer.to_dict(), ensure_ascii=False))
            else:
                render.console().print(render.answer(answer), "")
            sys.stdout.flush()


def _lines() -> Iterator[str]:
    """The lines of standard input up to the first empty one, with a prompt where a person types."""
    while True:
        try:
            line = (
                input("? ")
                if sys.stdin.isatty()
                else sys.stdin.buffer.readline().decode("utf-8", "replace")
            )
        except EOFError:
            return
        if not line.strip():
            return
        yield line
