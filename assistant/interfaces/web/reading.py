"""What the browser looks up by itself: provisions, lists, checklists as HTML; it sends feedback."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from assistant.api import Assistant
from assistant.checklists import PER_CONCERN
from assistant.errors import AssistantError, IndexBusy, QuestionError
from assistant.interfaces import feedback
from assistant.interfaces.serving import Opening
from assistant.interfaces.web import actions, knowledge, panel

_FOUND = 20


def routes(opening: Opening, feedback_file: Path) -> list[Route]:
    """The routes under ``read/``, all of which only read, and ``feedback``."""
    views = {
        "provision": _provision,
        "overview": _overview,
        "cell": _cell,
        "source": _source,
        "search": _search,
        "checklist": _checklist,
    }

    return [
        Route("/read/status", partial(_status, opening)),
        *(Route(f"/read/{name}", partial(_shown, opening, view)) for name, view in views.items()),
        Route("/feedback", partial(_keep, feedback_file), methods=["POST"]),
    ]


def _status(opening: Opening, request: Request) -> Response:
    """Whether the index is ``ready`` or ``failed``, how far it is in ``words``, ``done`` and ``total``.

    collections: what a question may include or leave out.
    """
    ready, failed, words = False, False, f"{opening.doing} …"
    collections: tuple[str, ...] = ()
    try:
        assistant = opening.now()
        ready = True
        collections = assistant.collections()
    except IndexBusy:
        pass
    except AssistantError as error:
        failed, words = True, str(error)
    steps = {"done": opening.done, "total": opening.total}
    status = {"ready": ready, "failed": failed, "words": words, "collections": collections}
    return JSONResponse({**status, **steps})


def _shown(
    opening: Opening, view: Callable[[Assistant, QueryParams], str], request: Request
) -> Response:
    """A view as HTML; what cannot be shown is a sentence with status 400, or 503 for no index."""
    try:
        return HTMLResponse(view(opening.now(), request.query_params))
    except QuestionError as error:
        return PlainTextResponse(str(error), 400)
    except AssistantError as error:
        return PlainTextResponse(str(error), 503)


def _provision(assistant: Assistant, query: QueryParams) -> str:
    (entry,) = assistant.provision(query.get("id", ""))[:1]
    start, stop = _number(query, "start", 0), _number(query, "stop", 0)
    related = []
    for link in assistant.related(entry):
        other = assistant.corpus.by_id[link.object]
        related.append((link, other, assistant.document(other.source_id)))
    return panel.provision(entry, assistant.document(entry.source_id), related, start, stop)


def _overview(assistant: Assistant, query: QueryParams) -> str:
    corpus = assistant.corpus
    own = assistant.library.documents()
    return knowledge.overview(assistant.coverage(), corpus.documents, own, corpus.taxonomy)


def _cell(assistant: Assistant, query: QueryParams) -> str:
    corpus = assistant.corpus
    phase = corpus.taxonomy.phases.get(query.get("phase", ""))
    concern = corpus.taxonomy.concerns.get(query.get("concern", ""))
    if phase is None or concern is None:
        raise QuestionError("There is no such phase or concern. Choose a cell of the table.")
    entries = [
        (entry, corpus.by_source[entry.source_id])
        for entry in corpus.provisions
        if phase.id in entry.phases and concern.id in entry.concerns
    ]
    heading = f"{phase.title}: {concern.title} ({len(entries)})"
    return knowledge.listing(heading, entries, "No provision.")


def _source(assistant: Assistant, query: QueryParams) -> str:
    return knowledge.source(assistant.document(query.get("id", "")))


def _search(assistant: Assistant, query: QueryParams) -> str:
    words = query.get("q", "")
    hits = assistant.search(words, _FOUND)
    entries = [(hit.provision, hit.document) for hit in hits]
    return knowledge.listing(f"Nearest to “{words}”", entries, "Nothing found.")


def _checklist(assistant: Assistant, query: QueryParams) -> str:
    taxonomy = assistant.corpus.taxonomy
    found = assistant.checklist(
        query.get("phase", ""),
        query.getlist("concern"),
        per_concern=_number(query, "per_concern", PER_CONCERN),
        kind=query.getlist("kind"),
        jurisdiction=query.getlist("jurisdiction"),
    )
    titles = [
        {term.id: term.title for term in terms.values()}
        for terms in (taxonomy.phases, taxonomy.concerns)
    ]
    return actions.checklist(found, *titles)


def _number(query: QueryParams, name: str, otherwise: int) -> int:
    given = query.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 10 else otherwise


async def _keep(path: Path, request: Request) -> Response:
    """Keep feedback; only JSON is taken, which a page from elsewhere cannot send."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return PlainTextResponse("Feedback is sent as JSON.", 415)
    try:
        given = feedback.Feedback.parse(json.loads(await request.body()))
    except ValueError as error:
        return PlainTextResponse(f"The feedback cannot be taken: {error}.", 400)
    await run_in_threadpool(feedback.save, path, given)
    return Response(status_code=204)
