"""The commands that build, inspect and verify the index."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from assistant.interfaces.cli.parts import AsJson, opened, print_json, progress_bar
from assistant.settings import load_settings

app = typer.Typer(help="Build, inspect and verify the index.", no_args_is_help=True)


@app.command("build")
def index_build(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Build from nothing, reusing no vector.")
    ] = False,
) -> None:
    """Bring the index up to date; only texts that changed are embedded."""
    from assistant.documents import load_corpus
    from assistant.index import build_index

    settings = load_settings()
    corpus = load_corpus(settings.corpus)
    with progress_bar() as progress:
        report = build_index(corpus, settings, progress, fresh)
    manifest = report.manifest
    done = (
        f"{report.embedded} texts embedded, {report.reused} reused"
        if report.changed
        else "up to date"
    )
    print(
        f"{manifest.sources} sources, {manifest.provisions} provisions: {done} ({settings.cache})"
    )


@app.command("status")
def index_status(as_json: AsJson = False) -> None:
    """Say what the index in use was made of, and whether it can be used."""
    with opened(build=False) as assistant:
        manifest = assistant.index.manifest
        lines = [f"{name}: {value}" for name, value in asdict(manifest).items()]
        if as_json:
            print_json(asdict(manifest))
        else:
            print("\n".join([*lines, f"cache: {assistant.settings.cache}", "usable: yes"]))


@app.command("verify")
def index_verify() -> None:
    """Look up every record by its own vector; fails if anything is not found."""
    from assistant.index import verify_index

    with opened(build=False) as assistant:
        problems = verify_index(assistant.index)
        if problems:
            print("\n".join(problems[:20]), file=sys.stderr)
            print(
                f"{len(problems)} problems. Build it anew with `safety-assistant index build --fresh`.",
                file=sys.stderr,
            )
            raise typer.Exit(1)
        print(
            f"Sound: {assistant.index.manifest.provisions} provisions found by their own vectors."
        )
