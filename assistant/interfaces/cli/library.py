"""The commands for one's own documents: add, list, remove, refresh, release, export."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from assistant.interfaces import render
from assistant.interfaces.cli.parts import AsJson, output
from assistant.interfaces.render import Text
from assistant.library import STATES, Fetched, Held, Library, LibraryDocument, Report
from assistant.settings import load_settings

app = typer.Typer()
_STYLE = {
    "added": "green",
    "replaced": "green",
    "alias": "cyan",
    "gone": "yellow",
    "failed": "bold red",
    "fetched": "green",
    "changed": "yellow",
}


@app.command()
def add(
    paths: Annotated[
        list[Path], typer.Argument(help="Files, and folders with all that is in them.")
    ],
    collection: Annotated[str, typer.Option(help="Keep them apart under this name.")] = "documents",
    kind: Annotated[str | None, typer.Option(help="policy, law, standard, guideline, …")] = None,
    binding: Annotated[
        str | None, typer.Option(help="internal, binding, voluntary or evidence.")
    ] = None,
    jurisdiction: Annotated[str | None, typer.Option(help="Where they apply.")] = None,
    phase: Annotated[
        list[str] | None, typer.Option("--phase", help="Lifecycle phase; may be repeated.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen and how long it would take.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add your own documents: PDF, Word, HTML, Markdown, text, CSV and JSON."""
    with bar() as progress:
        report = Library(load_settings()).add(
            paths,
            collection=collection,
            kind=kind,
            binding=binding,
            jurisdiction=jurisdiction,
            phase=phase,
            dry_run=dry_run,
            progress=progress,
        )
    _finish(report, as_json)


@app.command()
def refresh(as_json: AsJson = False) -> None:
    """Read the files of your documents again and replace those that changed."""
    with bar() as progress:
        report = Library(load_settings()).refresh(progress=progress)
    _finish(report, as_json)


@app.command("list")
def list_documents(
    collection: Annotated[str | None, typer.Option(help="Of this collection only.")] = None,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Passages that look suspicious, and why.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List your own documents, or what of them is held back."""
    library = Library(load_settings())
    if quarantined:
        held = library.quarantined()
        output(as_json, [asdict(entry) for entry in held], lambda: _held(held))
    else:
        found = library.documents(collection)
        output(as_json, [asdict(entry) for entry in found], lambda: _documents(found))


@app.command()
def remove(
    names: Annotated[
        list[str] | None, typer.Argument(help="Ids as listed, or the files' paths or names.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Only of this collection; alone, all of it.")
    ] = None,
) -> None:
    """Remove documents, and take their text and vectors off the disk."""
    removed = Library(load_settings()).remove(names or (), collection=collection)
    output(False, None, lambda: Group(*map(_removed, removed)))


@app.command()
def release(
    names: Annotated[
        list[str], typer.Argument(help="Ids as `list --quarantined` shows them, or of documents.")
    ],
) -> None:
    """Let passages that were held back be retrieved: you have read them."""
    released = Library(load_settings()).release(names)
    output(False, None, lambda: Group(*(Text(f"released  {entry.id}") for entry in released)))


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write, one JSON object a document.")],
) -> None:
    """Write all your documents with text, passages and metadata to a file."""
    count = Library(load_settings()).export(target)
    output(False, None, lambda: Text(f"{count} documents written to {target}"))


def _finish(report: Report, as_json: bool) -> None:
    output(as_json, asdict(report), lambda: _report(report))
    if report.failed:
        raise typer.Exit(1)


def finish_fetching(fetched: Sequence[Fetched], report: Report, as_json: bool) -> None:
    """Show what was fetched and added; exit with 1 if anything failed."""
    data = {"fetched": [asdict(entry) for entry in fetched], "report": asdict(report)}
    output(as_json, data, lambda: Group(*map(_fetched, fetched), _report(report)))
    if report.failed or any(entry.state == "failed" for entry in fetched):
        raise typer.Exit(1)


def _fetched(entry: Fetched) -> Text:
    text = Text(f"{entry.state:9} ", _STYLE.get(entry.state, "dim"))
    text.append(entry.detail or entry.file.url)
    return text


def _report(report: Report) -> RenderableType:
    """One line for each file that is not as it was, then the sums."""
    lines = []
    for outcome in report.outcomes:
        if outcome.state == "unchanged":
            continue
        text = Text(f"{outcome.state:9} ", _STYLE[outcome.state])
        if outcome.state == "failed":
            text.append(outcome.detail)
        else:
            text.append(str(outcome.path))
            details = [outcome.document, outcome.detail]
            details += [f"{outcome.passages} passages"] if outcome.passages else []
            details += [f"{outcome.held} in quarantine"] if outcome.held else []
            text.append(f"  {', '.join(filter(None, details))}", "dim")
        lines.append(text)
    sums = ", ".join(f"{report.count(state)} {state}" for state in STATES)
    took = (
        f"would take about {report.seconds:.0f} s" if report.dry_run else f"{report.seconds:.1f} s"
    )
    lines.append(Text(f"{sums}; {took}", "bold"))
    if sum(outcome.held for outcome in report.outcomes):
        lines.append(Text("What is in quarantine: safety-assistant list --quarantined", "yellow"))
    return Group(*lines)


def _documents(found: Iterable[LibraryDocument]) -> RenderableType:
    lines = []
    for entry in found:
        text = Text(f"{entry.passages:5}  ")
        text.append(f"{entry.id:40} ", "cyan")
        text.append(f"{entry.title}  ")
        text.append(
            f"{entry.kind}, {entry.binding}, {entry.jurisdiction}, {entry.added[:10]}", "dim"
        )
        if entry.held:
            text.append(f"  {entry.held} in quarantine", "yellow")
        for path in entry.paths:
            text.append(f"\n       {path}", "dim")
        lines.append(text)
    return Group(*lines) if lines else Text("Nothing was added. `safety-assistant add PATH` does.")


def _removed(entry: LibraryDocument) -> Text:
    text = Text("removed   ", "green")
    text.append(entry.id)
    text.append(f"  {', '.join(entry.paths)}", "dim")
    return text


def _held(held: Iterable[Held]) -> RenderableType:
    lines = []
    for entry in held:
        text = Text(entry.id, "cyan")
        text.append(f"  {entry.reason}\n", "yellow")
        text.append("  " + " ".join(entry.text.split())[:400], "dim")
        lines.append(text)
    return Group(*lines) if lines else Text("Nothing is in quarantine.")


@contextmanager
def bar() -> Iterator[Callable[[str, int, int], None]]:
    """Progress in bytes: a bar on standard error with rate and time left, where that is a terminal."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = render.console(stderr=True)
    columns = (
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield advance
