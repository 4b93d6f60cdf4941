"""The assistant as a service: JSON over HTTP, described by OpenAPI at ``/openapi.json``.

    POST /v1/ask        an answer                 GET /v1/provisions?locator=…  what a locator names
    POST /v1/stream     the same piece by piece   GET /v1/sources               what the corpus holds
    POST /v1/search     provisions, best first    GET /healthz                  the process is up
    POST /v1/checklist  what to do in a phase     GET /readyz                   the index is open

Errors are ``{"error": sentence}``; see also ``guard``. Nothing is written and no question is logged.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations, which hold known values.

import asyncio
import os
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass
from functools import partial
from socket import socket
from threading import Event
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException

from assistant import __version__
from assistant.api import Assistant, SourceSummary
from assistant.checklists import PER_CONCERN
from assistant.documents import Corpus, load_corpus
from assistant.errors import AssistantError, QuestionError
from assistant.interfaces.asking import EARLIER, MOST_EARLIER, Code, in_conversation
from assistant.interfaces.guard import Access, App, Guard, Limits
from assistant.interfaces.serving import Opening, serve, settle_in
from assistant.interfaces.views import (
    FoundProvision,
    ShownProvision,
    as_json,
    found_provision,
    shown_provision,
)
from assistant.questions import MAX_CHARS
from assistant.settings import Settings
from assistant.types import Answer, Checklist, Said

OPEN_PATHS = ("/healthz", "/readyz", "/openapi.json")
"""Need no token and are not counted."""
MOST_HITS = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong and what to do, in one or two sentences."""

    error: str


@dataclass(frozen=True, slots=True)
class Health:
    """The process is up; ``version`` is the assistant's."""

    status: Literal["up"]
    version: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """The index is open, built from this version of the corpus; ``process`` tells workers apart."""

    status: Literal["ready"]
    corpus_version: str
    process: int


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is not JSON in UTF-8."},
    401: {"description": "The token is missing or is another one."},
    403: {"description": "The call comes from a page of another origin."},
    413: {"description": "The body is too large."},
    421: {"description": "The Host header does not name this server."},
    422: {"description": "The request cannot be taken as it is: the sentence says why."},
    429: {"description": "Too many requests a minute; Retry-After says how long to wait."},
    503: {"description": "The index is being built, or too many requests are under way."},
}
for _problem in _PROBLEMS.values():
    _problem["model"] = Problem
Whole = Annotated[
    int,
    BeforeValidator(lambda x: int(x) if isinstance(x, float) and x.is_integer() else x),
]
"""A whole number as JSON Schema has it: 5.0 is one."""
_EVENTS = (
    "Server-sent events: `statement` for each statement with the citations that it is the first to use, "
    "then `answer` with the whole answer."
)


def serve_http(
    settings: Settings, bound: socket, access: Access, limits: Limits, workers: int
) -> None:
    """Serve at a bound socket until Ctrl-C, in as many processes; ``limits`` are each process' own."""
    settle_in()
    serve(partial(make_app, settings, access, limits), bound, "", workers)


def make_app(settings: Settings, access: Access, limits: Limits) -> App:
    """The service as an ASGI app behind its guard; opens the index, or builds it, when it starts.

    Raises CorpusError if the corpus, whose known values stand in the description, cannot be read.
    """
    opening = Opening(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        opening.start()
        yield
        await run_in_threadpool(opening.close)

    app = FastAPI(
        title="Safety guideline assistant",
        summary="Cited answers to safety questions about software built on pre-trained models.",
        version=__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # Their pages load scripts from elsewhere.
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(AssistantError, _failed)
    app.include_router(_health(opening))
    bearer = [Depends(HTTPBearer(auto_error=False))] if access.token else []
    app.include_router(_answers(opening, load_corpus(settings.corpus)), dependencies=bearer)
    return Guard(app, access, limits, open_paths=OPEN_PATHS)


def _health(opening: Opening) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", responses=_only(403, 413, 421))
    async def healthz() -> Health:
        """Whether the process is up; needs no token."""
        return Health("up", __version__)

    @router.get("/readyz", responses=_only(403, 413, 421, 503))
    async def readyz() -> Readiness:
        """Whether the index is open, so that questions are answered; needs no token."""
        return Readiness("ready", opening.now().corpus.version, os.getpid())

    return router


class _Events(StreamingResponse):
    """An answer as server-sent events; ``gone`` is set when the client is."""

    def __init__(self, pieces: Generator[Said | Answer, None, None], gone: Event) -> None:
        headers = {"Cache-Control": "no-store"}
        super().__init__(map(_event, pieces), media_type="text/event-stream", headers=headers)
        self._pieces, self._gone = pieces, gone

    async def __call__(self, *connection: Any) -> None:
        with closing(self._pieces):
            await super().__call__(*connection)

    async def listen_for_disconnect(self, receive: Any) -> None:
        await super().listen_for_disconnect(receive)
        self._gone.set()


@asynccontextmanager
async def _listened_to(client: Request) -> AsyncIterator[Event]:
    """An event that is set when the client goes, so that no model writes for nobody."""
    gone = Event()

    async def listen() -> None:
        while (await client.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    listening = asyncio.create_task(listen())
    try:
        yield gone
    finally:
        listening.cancel()


def _only(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _PROBLEMS[status] for status in statuses}


def _answers(opening: Opening, corpus: Corpus) -> APIRouter:
    """The calls of the API; their schemas hold what the corpus knows."""
    taxonomy = corpus.taxonomy
    jurisdictions = sorted({document.source.jurisdiction for document in corpus.documents})
    ready = Annotated[Assistant, Depends(opening.now)]
    phase_of = Annotated[str, _one_of(taxonomy.phases)]
    concern_of = Annotated[str, _one_of(taxonomy.concerns)]
    kind_of = Annotated[str, _one_of(taxonomy.kinds)]
    jurisdiction_of = Annotated[str, _one_of(jurisdictions)]
    source_of = Annotated[str, _one_of(corpus.by_source)]
    question_of = Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_CHARS,
            pattern=r"[^\W_]",
            description="In English, with at least one letter or digit.",
            examples=["May I load a .bin checkpoint I found on a model hub?"],
        ),
    ]

    class Filters(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")
        kind: list[kind_of] = Field([], description="Cite these kinds of sources only.")
        jurisdiction: list[jurisdiction_of] = Field([], description="Cite these only.")
        source: list[source_of] = Field([], description="Cite these sources only.")

    class AskRequest(Filters):
        question: question_of
        phase: list[phase_of] = Field([], description="Phases that the ranking prefers.")
        earlier: list[question_of] = Field([], max_length=MOST_EARLIER, description=EARLIER)
        code: Code | None = None

        def stream(self, assistant: Assistant, stop: Event) -> Generator[Said | Answer, None, None]:
            filters = self.model_dump(exclude={"question", "earlier", "code"})
            options = in_conversation(assistant, self.earlier, self.code, stop=stop, **filters)
            return assistant.stream(self.question, **options)

        def ask(self, assistant: Assistant, stop: Event) -> Answer:
            *_, answer = self.stream(assistant, stop)
            assert isinstance(answer, Answer)
            return answer

    class SearchRequest(Filters):
        query: question_of
        k: Whole = Field(10, ge=1, le=MOST_HITS, description="How many hits at most.")
        phase: list[phase_of] = Field([], description="Phases that the ranking prefers.")

    class ChecklistRequest(Filters):
        phase: phase_of = Field(examples=[next(iter(taxonomy.phases))])
        concerns: list[concern_of] = Field([], description="These concerns only.")
        per_concern: Whole = Field(
            PER_CONCERN, ge=1, le=100, description="Actions at most for a concern."
        )

    router = APIRouter(prefix="/v1", tags=["answers"], responses=_PROBLEMS)

    @router.post("/ask")
    async def ask(request: AskRequest, assistant: ready, client: Request) -> Answer:
        """Answer a question from the sources, or abstain with a reason."""
        async with _listened_to(client) as gone:
            return await run_in_threadpool(request.ask, assistant, gone)

    @router.post(
        "/stream",
        response_class=StreamingResponse,
        responses={200: {"description": _EVENTS, "content": {"text/event-stream": {}}}},
    )
    async def stream(request: AskRequest, assistant: ready, client: Request) -> _Events:
        """Answer piece by piece."""
        async with _listened_to(client) as gone:
            pieces = await run_in_threadpool(request.stream, assistant, gone)
        return _Events(pieces, gone)

    @router.post("/search")
    def search(request: SearchRequest, assistant: ready) -> list[FoundProvision]:
        """List the provisions nearest to a query, best first."""
        return [found_provision(hit) for hit in assistant.search(**request.model_dump())]

    @router.post("/checklist")
    def checklist(request: ChecklistRequest, assistant: ready) -> Checklist:
        """List what to do in a phase, by concern, each item cited."""
        return assistant.checklist(**request.model_dump())

    @router.get("/provisions", responses={404: {"description": "None.", "model": Problem}})
    def provisions(
        locator: Annotated[
            str,
            Query(
                min_length=1,
                max_length=300,
                description="LLM05, Art. 26(5), AML.T0051, or an id: SOURCE-ID#LOCATOR.",
                examples=["LLM05"],
            ),
        ],
        assistant: ready,
    ) -> list[ShownProvision]:
        """Show what a locator names in full, with its source and crosswalk."""
        try:
            found = assistant.provision(locator)
        except QuestionError as error:
            raise HTTPException(404, str(error)) from error
        return [shown_provision(entry, assistant) for entry in found]

    @router.get("/sources")
    def sources(assistant: ready) -> list[SourceSummary]:
        """List what the corpus holds."""
        return assistant.sources()

    return router


def _one_of(values: Any) -> Any:
    """The known values of a text, for the description; the assistant itself refuses others by name."""
    return Field(json_schema_extra={"enum": list(values)})


def _event(piece: Said | Answer) -> str:
    name = "answer" if isinstance(piece, Answer) else "statement"
    return f"event: {name}\ndata: {as_json(piece)}\n\n"


def _problem_response(status: int, sentence: str, headers: Any = None) -> Response:
    return JSONResponse(asdict(Problem(sentence)), status, headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """What is wrong with a request, in a sentence for the first, without its values."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return _problem_response(422, f"{place}: {first['msg']}. See /openapi.json for what is taken.")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem_response(error.status_code, error.detail, error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    if isinstance(error, QuestionError):
        return _problem_response(422, str(error))
    return _problem_response(503, str(error), {"Retry-After": "2"})
