"""The commands for what the assistant knows: search, checklist, show, sources, coverage, schema."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from assistant.api import Assistant
from assistant.checklists import PER_CONCERN
from assistant.interfaces import render
from assistant.interfaces.cli import library
from assistant.interfaces.cli.parts import (
    AsJson,
    Collection,
    Jurisdiction,
    Kind,
    Phase,
    Without,
    opened,
    output,
    print_json,
)
from assistant.interfaces.heatmap import coverage_svg
from assistant.schema import json_schema
from assistant.types import Provision

app = typer.Typer()
sources_app = typer.Typer(help="List what the corpus holds; fetch the official texts.")


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    phase: Phase = None,
    kind: Kind = None,
    jurisdiction: Jurisdiction = None,
    collection: Collection = None,
    without: Without = None,
    as_json: AsJson = False,
) -> None:
    """List the provisions nearest to a query, with their scores."""
    with opened() as assistant:
        hits = assistant.search(
            query,
            k,
            phase=phase,
            kind=kind,
            jurisdiction=jurisdiction,
            collection=collection,
            without=without,
        )
        rows = [
            {
                "id": hit.provision.id,
                "score": round(hit.score, 6),
                "signals": {name: round(value, 6) for name, value in hit.signals.items()},
                "locator": hit.provision.locator,
                "title": hit.provision.title,
                "source_id": hit.document.source.id,
                "url": hit.provision.url,
            }
            for hit in hits
        ]
        output(as_json, rows, lambda: render.hits(hits))


@app.command()
def checklist(
    phase: Annotated[str, typer.Argument(help="Lifecycle phase, such as model-selection.")],
    concern: Annotated[
        list[str] | None, typer.Option("--concern", help="This concern only; may be repeated.")
    ] = None,
    per_concern: Annotated[
        int, typer.Option("--per-concern", help="How many actions at most for a concern.")
    ] = PER_CONCERN,
    kind: Kind = None,
    jurisdiction: Jurisdiction = None,
    as_json: AsJson = False,
) -> None:
    """List what to do in a phase, by concern, each item with its source."""
    with opened() as assistant:
        found = assistant.checklist(
            phase, concern, per_concern=per_concern, kind=kind, jurisdiction=jurisdiction
        )
        titles = {term.id: term.title for term in assistant.corpus.taxonomy.concerns.values()}
        output(as_json, found.to_dict(), lambda: render.checklist(found, titles))


@app.command()
def show(
    locator: Annotated[
        str, typer.Argument(help="LLM05, Art. 26(5), AML.T0051, or SOURCE-ID#LOCATOR.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show a provision in full, with its source and its crosswalk."""
    with opened() as assistant:
        found = assistant.provision(locator)
        rows = [
            {
                **asdict(entry),
                "id": entry.id,
                "source": asdict(assistant.document(entry.source_id).source),
                "text": assistant.document(entry.source_id).text[
                    entry.segments[0].start : entry.stop
                ],
                "related": [asdict(link) for link in assistant.related(entry)],
                "official": _official_id(assistant, entry),
            }
            for entry in found
        ]
        console = None if as_json else render.console()
        if console is None:
            print_json(rows)
        else:
            for entry in found:
                console.print(
                    render.provision(
                        entry, assistant.document(entry.source_id), assistant.related(entry)
                    ),
                    "",
                )
                if official := _official_id(assistant, entry):
                    console.print(f"Official text: safety-assistant show '{official}'", "")


def _official_id(assistant: Assistant, entry: Provision) -> str | None:
    official = assistant.official(entry)
    return official.id if official else None


@sources_app.callback(invoke_without_command=True)
def sources(context: typer.Context, as_json: AsJson = False) -> None:
    """List what the corpus holds, by source, kind and phase; `fetch` brings official texts."""
    if context.invoked_subcommand is not None:
        return
    with opened() as assistant:
        entries = assistant.sources()
        output(as_json, [asdict(entry) for entry in entries], lambda: render.sources(entries))


@sources_app.command("fetch")
def sources_fetch(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of sources; without one, all that allow it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch official texts from their publishers, to be searched and shown beside the digests."""
    with opened() as assistant, library.bar() as progress:
        fetched, report = assistant.fetch(ids, progress=progress)
    library.finish_fetching(fetched, report, as_json)


@app.command()
def coverage(
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Also write the matrix as an image.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print how many provisions there are for each phase and concern."""
    with opened() as assistant:
        matrix = assistant.coverage()
        taxonomy = assistant.corpus.taxonomy
        titles = {
            term.id: term.title for term in (*taxonomy.phases.values(), *taxonomy.concerns.values())
        }
        if svg is not None:
            svg.write_text(coverage_svg(matrix, titles), encoding="utf-8")
        output(as_json, matrix, lambda: render.coverage(matrix, titles))


@app.command()
def schema(
    name: Annotated[Literal["answer", "checklist"], typer.Argument(help="What it describes.")],
) -> None:
    """Print the JSON Schema of what `ask --json` or `checklist --json` prints."""
    print_json(json_schema(name))
