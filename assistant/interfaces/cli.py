"""The command line: ``safety-assistant``.

Exit status: 0 for an answer and for an abstention, 1 for a failure, 2 for misuse, 130 for Ctrl-C.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from assistant import __version__
from assistant.api import Assistant
from assistant.checklists import PER_CONCERN
from assistant.code_context import CodeContext
from assistant.conversation import HISTORY
from assistant.errors import AssistantError, QuestionError
from assistant.generation import NO_MODEL
from assistant.index import Progress
from assistant.interfaces import library, render
from assistant.interfaces.guard import Limits, read_access, read_accounts
from assistant.interfaces.heatmap import coverage_svg
from assistant.schema import json_schema
from assistant.settings import load_settings
from assistant.types import Answer, Provision, Record, Said
from assistant.writing import check_model

app = typer.Typer(
    help="Cited answers to safety questions about software built on pre-trained models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
index_app = typer.Typer(help="Build, inspect and verify the index.", no_args_is_help=True)
app.add_typer(index_app, name="index")
feedback_app = typer.Typer(help="What readers of the chat page thought.", no_args_is_help=True)
app.add_typer(feedback_app, name="feedback")
model_app = typer.Typer(help="Try a language model.", no_args_is_help=True)
app.add_typer(model_app, name="model")
app.add_typer(library.app)
sources_app = typer.Typer(help="List what the corpus holds; fetch the official texts.")
app.add_typer(sources_app, name="sources")

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
    with _opened(model=model, model_base_url=base_url) as assistant:
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
            answer = _streamed(pieces, live=not as_json and assistant.settings.model != NO_MODEL)
        _show(as_json, answer.to_dict(), lambda: render.answer(answer, first))
    if record is not None:
        text = json.dumps([entry.to_dict() for entry in records], ensure_ascii=False, indent=1)
        record.write_text(text, encoding="utf-8")


def _streamed(pieces: Iterator[Said | Answer], live: bool) -> Answer:
    """The whole answer; a person at a terminal sees each statement until it is there."""
    if not (live and sys.stdout.isatty()):
        *_, answer = pieces
        assert isinstance(answer, Answer)
        return answer
    from rich.live import Live

    said: list[Any] = []
    with Live(console=render.console(), transient=True) as view:
        for piece in pieces:
            if isinstance(piece, Answer):
                return piece
            said.append(render.piece(piece))
            view.update(render.stack(said))
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
    with _opened(model=model, model_base_url=base_url) as assistant:
        for question in _lines():
            try:
                answer = assistant.ask(
                    question, phase=phase, kind=kind, jurisdiction=jurisdiction, history=history
                )
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
    with _opened() as assistant:
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
        _show(as_json, rows, lambda: render.hits(hits))


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
    with _opened() as assistant:
        found = assistant.checklist(
            phase, concern, per_concern=per_concern, kind=kind, jurisdiction=jurisdiction
        )
        titles = {term.id: term.title for term in assistant.corpus.taxonomy.concerns.values()}
        _show(as_json, found.to_dict(), lambda: render.checklist(found, titles))


@app.command()
def show(
    locator: Annotated[
        str, typer.Argument(help="LLM05, Art. 26(5), AML.T0051, or SOURCE-ID#LOCATOR.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show a provision in full, with its source and its crosswalk."""
    with _opened() as assistant:
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
            _print_json(rows)
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
    with _opened() as assistant:
        entries = assistant.sources()
        _show(as_json, [asdict(entry) for entry in entries], lambda: render.sources(entries))


@sources_app.command("fetch")
def sources_fetch(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of sources; without one, all that allow it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch official texts from their publishers, to be searched and shown beside the digests."""
    with _opened() as assistant, library.bar() as progress:
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
    with _opened() as assistant:
        matrix = assistant.coverage()
        taxonomy = assistant.corpus.taxonomy
        titles = {
            term.id: term.title for term in (*taxonomy.phases.values(), *taxonomy.concerns.values())
        }
        if svg is not None:
            svg.write_text(coverage_svg(matrix, titles), encoding="utf-8")
        _show(as_json, matrix, lambda: render.coverage(matrix, titles))


@app.command()
def schema(
    name: Annotated[Literal["answer", "checklist"], typer.Argument(help="What it describes.")],
) -> None:
    """Print the JSON Schema of what `ask --json` or `checklist --json` prints."""
    _print_json(json_schema(name))


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


@index_app.command("build")
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
    with _progress() as progress:
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


@index_app.command("status")
def index_status(as_json: AsJson = False) -> None:
    """Say what the index in use was made of, and whether it can be used."""
    with _opened(build=False) as assistant:
        manifest = assistant.index.manifest
        lines = [f"{name}: {value}" for name, value in asdict(manifest).items()]
        if as_json:
            _print_json(asdict(manifest))
        else:
            print("\n".join([*lines, f"cache: {assistant.settings.cache}", "usable: yes"]))


@index_app.command("verify")
def index_verify() -> None:
    """Look up every record by its own vector; fails if anything is not found."""
    from assistant.index import verify_index

    with _opened(build=False) as assistant:
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


@model_app.command("check")
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
    if not all(marks.values()):
        raise typer.Exit(1)


@contextmanager
def _opened(build: bool = True, **settings: str | None) -> Iterator[Assistant]:
    """The assistant; where the index is missing or out of date it is built, with a progress bar."""
    with _progress() as progress:
        assistant = Assistant.open(load_settings(**settings), build=build, progress=progress)
    with assistant:
        yield assistant


@contextmanager
def _progress() -> Iterator[Progress]:
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


def _show(as_json: bool, data: Any, rendered: Any) -> None:
    if as_json:
        _print_json(data)
    else:
        render.console().print(rendered())


def _print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
