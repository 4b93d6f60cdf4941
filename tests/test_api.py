"""The public door on the shipped corpus: answers, look-ups, threads, processes, and what is left behind."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from assistant import (
    Answer,
    Assistant,
    AssistantClosed,
    IndexMissing,
    QuestionError,
    Settings,
    load_settings,
)
from assistant import __doc__ as package_doc
from tests.conftest import ROOT, SMALL, Gate, gated
from tests.test_cli import PROGRAM, with_model

CHECKPOINT = "May I load a .bin checkpoint that I found on a model hub?"
CLOUDY = "What will the weather be in Paris tomorrow?"
EIGHT = [
    CHECKPOINT,
    CLOUDY,
    "How do I stop prompt injection in my RAG chatbot?",
    "Do we have to tell users that they talk to a bot under the EU AI Act?",
    "What does LLM01 say?",
    "What does LLM77 say?",
    "How do I monitor drift after release?",
    "Can I fine-tune on customer data under the GDPR?",
]
TWENTY = [
    *EIGHT,
    "What does Art. 26(5) require?",
    "Is trust_remote_code=True dangerous?",
    "How do I pin a model revision so that it cannot change under me?",
    "Which systems are high-risk under Annex III?",
    "Has a chatbot ever promised something that its company had to keep?",
    "How do I test a model for bias before release?",
    "Who approves what my agent does with shell commands?",
    "What do I write into a model card?",
    "Someone poisoned our fine-tuning data, what now?",
    "How do I limit what a single user can spend on tokens?",
    "Do developers reuse pre-trained models without checking them?",
    "GV-1.1-001",
]
KEYS = {
    "question",
    "read_as",
    "outcome",
    "reason",
    "nearest",
    "phases",
    "statements",
    "citations",
    "withheld",
    "corpus_version",
    "timings_ms",
    "noticed",
    "model",
    "note",
    "read_by",
}


@pytest.fixture(scope="module")
def answers(assistant: Assistant) -> list[Answer]:
    """The answers to twenty varied questions."""
    return [assistant.ask(question) for question in TWENTY]


def plain(answer: Answer) -> dict[str, Any]:
    """The answer as it is after a passage through JSON, without the times."""
    read: dict[str, Any] = json.loads(json.dumps(answer.to_dict()))
    del read["timings_ms"]
    return read


# Answers


def test_an_answer(assistant: Assistant) -> None:
    found = assistant.ask(f"  {CHECKPOINT}\n")
    assert found.question == CHECKPOINT
    assert (found.outcome, found.reason, found.nearest) == ("answered", "", ())
    assert found.statements[0].role == "answer"
    assert found.phases[0] == "model-selection"
    assert "unsafe-loading" in {
        concern
        for citation in found.citations
        for entry in assistant.provision(f"{citation.source_id}#{citation.locator}")
        for concern in entry.concerns
    }
    assert [citation.number for citation in found.citations] == [
        *range(1, len(found.citations) + 1)
    ]
    assert (found.withheld, found.corpus_version) == (0, assistant.corpus.version)
    assert all(value >= 0 for value in found.timings_ms.values())


def test_an_abstention(assistant: Assistant) -> None:
    found = assistant.ask(CLOUDY)
    assert (found.outcome, found.statements, found.citations) == ("abstained", (), ())
    assert found.reason.startswith(("Out of scope: ", "Not covered: "))
    assert len(found.nearest) == len({topic.source_id for topic in found.nearest}) == 4
    for topic in found.nearest:
        provision = assistant.provision(f"{topic.source_id}#{topic.locator}")[0]
        assert (topic.title, topic.question) == (provision.title, provision.asks[0])


def test_to_dict_is_json_and_the_same_when_asked_again(assistant: Assistant) -> None:
    for question in EIGHT[:4]:
        first, second = assistant.ask(question), assistant.ask(question)
        assert set(first.to_dict()) == KEYS
        assert plain(first) == plain(second)
        assert first == second
        assert json.loads(json.dumps(first.to_dict()))["timings_ms"] == first.timings_ms


def test_the_twenty_questions_exercise_every_part(answers: list[Answer]) -> None:
    assert {answer.outcome for answer in answers} == {"answered", "abstained"}
    said = [statement for answer in answers for statement in answer.statements]
    roles = {statement.role for statement in said}
    assert roles == {"answer", "action", "requirement", "evidence"}
    cited = [citation for answer in answers for citation in answer.citations]
    assert {citation.binding for citation in cited} == {"binding", "voluntary", "evidence"}
    assert len({citation.source_id for citation in cited}) >= 10


def test_every_quote_is_the_text_at_its_offsets(
    assistant: Assistant, answers: list[Answer]
) -> None:
    for answer in answers:
        for citation in answer.citations:
            document = assistant.document(citation.source_id)
            assert citation.quote == document.text[citation.start : citation.stop]
            assert citation.quote.strip()
            assert citation.document_sha256 == document.sha256
            provision = assistant.provision(f"{citation.source_id}#{citation.locator}")[0]
            assert provision.start < citation.start < citation.stop <= provision.stop


def test_every_statement_is_the_quote_of_its_first_citation(answers: list[Answer]) -> None:
    for answer in answers:
        quotes = {citation.number: citation.quote for citation in answer.citations}
        used = {number for statement in answer.statements for number in statement.citations}
        assert used == set(quotes)
        for statement in answer.statements:
            assert statement.text == quotes[statement.citations[0]]


def test_law_guidance_and_evidence_are_kept_apart(answers: list[Answer]) -> None:
    allowed = {
        "answer": {"binding", "voluntary", "evidence"},
        "action": {"voluntary"},
        "requirement": {"binding"},
        "evidence": {"voluntary", "evidence"},
    }
    for answer in answers:
        bindings = {citation.number: citation.binding for citation in answer.citations}
        for statement in answer.statements:
            found = {bindings[number] for number in statement.citations}
            assert len(found) == 1, (answer.question, statement)
            assert found <= allowed[statement.role], (answer.question, statement)
        for citation in answer.citations:
            assert (citation.in_force_from is not None) == (citation.binding == "binding")
            assert (citation.kind == "law") == (citation.binding == "binding")


def test_filters_limit_what_is_cited(assistant: Assistant) -> None:
    question = "Do we have to tell users that they talk to a bot?"
    law = assistant.ask(question, kind="law")
    assert {citation.kind for citation in law.citations} == {"law"}
    rest = assistant.ask(question, kind=["guideline", "standard"])
    assert {citation.kind for citation in rest.citations} <= {"guideline", "standard"}
    one = assistant.search(question, source="eu-ai-act")
    assert {hit.document.source.id for hit in one} == {"eu-ai-act"}
    there = assistant.search(question, jurisdiction="EU")
    assert {hit.document.source.jurisdiction for hit in there} == {"EU"}


# Search


@pytest.mark.parametrize("k", [1, 7, 50])
def test_search_gives_k_hits_best_first(assistant: Assistant, k: int) -> None:
    hits = assistant.search(CHECKPOINT, k)
    scores = [hit.score for hit in hits]
    assert len(hits) == len({hit.provision.id for hit in hits}) == k
    assert scores == sorted(scores, reverse=True)
    assert [hit.provision.id for hit in assistant.search(CHECKPOINT, 50)][:k] == [
        hit.provision.id for hit in hits
    ]
    assert all(hit.document.source.id == hit.provision.source_id for hit in hits)


def test_search_puts_what_an_identifier_names_first(assistant: Assistant) -> None:
    hits = assistant.search("LLM05:2025 and Art. 26(5) on output handling", 10)
    assert {hit.provision.id for hit in hits[:2]} == {
        "owasp-llm-top10-2025#LLM05:2025",
        "eu-ai-act#Art. 26(5)",
    }
    assert [hit.signals for hit in hits[:2]] == [{"identifier": 1.0}] * 2
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] > scores[2]
    assert len({hit.provision.id for hit in hits}) == 10


# Look-ups


def test_provision_by_id_locator_and_writing(assistant: Assistant) -> None:
    ids = [
        [entry.id for entry in assistant.provision(locator)]
        for locator in ("eu-ai-act#Art. 26(5)", "LLM05:2025", "gv-1.1-001", "article 113(c)")
    ]
    assert ids[0] == ["eu-ai-act#Art. 26(5)"]
    assert ids[1] == ["owasp-llm-top10-2025#LLM05:2025"]
    assert ids[2] == ["nist-ai-600-1#GV-1.1-001"]
    assert ids[3] == ["eu-ai-act#Art. 113(c)"]
    paragraphs = {entry.locator for entry in assistant.provision("Art. 27 of the AI Act")}
    assert paragraphs >= {"Art. 27(1)", "Art. 27(2)", "Art. 27(3)", "Art. 27(4)"}


def test_provision_that_does_not_exist(assistant: Assistant) -> None:
    with pytest.raises(QuestionError, match=r"LLM77.*LLM10"):
        assistant.provision("LLM77")
    with pytest.raises(QuestionError, match="safety-assistant sources"):
        assistant.provision("no such thing")


def test_related_is_the_crosswalk_from_either_end(assistant: Assistant) -> None:
    old = assistant.provision("owasp-llm-top10-2025#LLM01:2025")[0]
    links = assistant.related(old)
    assert links
    assert {link.subject for link in links} == {old.id}
    distances = [link.distance() for link in links]
    assert distances == sorted(distances)
    other = assistant.provision(links[0].object)[0]
    assert links[0].turned() in assistant.related(other)
    linked = {end for link in assistant.corpus.links for end in (link.subject, link.object)}
    alone = next(entry for entry in assistant.corpus.provisions if entry.id not in linked)
    assert assistant.related(alone) == ()


def test_document(assistant: Assistant) -> None:
    document = assistant.document("eu-ai-act")
    path = ROOT / "corpus" / "sources" / "eu-ai-act.md"
    assert document.text == path.read_text("utf-8")
    with pytest.raises(QuestionError, match="No source has the id 'eu-ai'"):
        assistant.document("eu-ai")


def test_sources(assistant: Assistant) -> None:
    found = assistant.sources()
    files = {path.stem for path in (ROOT / "corpus" / "sources").glob("*.md")}
    assert {entry.id for entry in found} == files
    assert len(found) == len(files)
    assert sum(entry.provisions for entry in found) == len(assistant.corpus.provisions)
    order = list(assistant.corpus.taxonomy.phases)
    for entry in found:
        assert entry.provisions >= 1
        assert list(entry.phases) == [phase for phase in order if phase in entry.phases]


def test_coverage(assistant: Assistant) -> None:
    matrix = assistant.coverage()
    taxonomy = assistant.corpus.taxonomy
    assert list(matrix) == list(taxonomy.phases)
    assert all(list(row) == list(taxonomy.concerns) for row in matrix.values())
    total = sum(len(entry.phases) * len(entry.concerns) for entry in assistant.corpus.provisions)
    assert sum(sum(row.values()) for row in matrix.values()) == total
    assert matrix["model-selection"]["unsafe-loading"] > 0


def test_confidence_decides_the_outcome(assistant: Assistant) -> None:
    sure, unsure = assistant.confidence(CHECKPOINT), assistant.confidence(CLOUDY)
    assert 0 <= unsure.probability < unsure.threshold <= sure.probability <= 1
    assert sure.threshold == unsure.threshold
    assert sure.features.keys() == unsure.features.keys()
    assert float((sure.vector**2).sum()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("phase", "preparation, model-selection, adaptation, integration"),
        ("kind", "law, standard, guideline, study, incident, tool-doc"),
        ("jurisdiction", "EU"),
        ("source", "eu-ai-act, eu-gdpr"),
    ],
)
def test_unknown_values_name_the_known(assistant: Assistant, name: str, known: str) -> None:
    asks: tuple[Callable[..., Any], ...] = (assistant.ask, assistant.search)
    for ask in asks:
        with pytest.raises(QuestionError, match=f"Unknown {name} 'moon'") as caught:
            ask(CHECKPOINT, **{name: "moon"})
        assert known in str(caught.value)
        with pytest.raises(QuestionError, match=f"Unknown {name} 'moon'"):
            ask(CHECKPOINT, **{name: ["moon"]})


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_hit_cannot_be_asked_for(assistant: Assistant, k: int) -> None:
    with pytest.raises(QuestionError, match=f"k must be at least 1, not {k}"):
        assistant.search(CHECKPOINT, k)


# Threads and processes


def test_32_threads_get_the_answers_that_each_gets_alone(assistant: Assistant) -> None:
    lines = (ROOT / "evals" / "questions" / "dev.jsonl").read_text("utf-8").splitlines()
    questions = [*TWENTY, *(json.loads(line)["question"] for line in lines[:12])]
    alone = [plain(assistant.ask(question)) for question in questions]
    assert len({row["question"] for row in alone}) == 32
    assert {row["outcome"] for row in alone} == {"answered", "abstained"}
    barrier = threading.Barrier(32)

    def ask(number: int) -> list[dict[str, Any]]:
        barrier.wait(timeout=30)
        turned = questions[number:] + questions[:number]
        return [plain(assistant.ask(question)) for question in turned[:4]]

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(ask, range(32)))
    for number, rows in enumerate(found):
        assert rows == [alone[(number + step) % 32] for step in range(4)]


def test_threads_may_do_different_things_at_the_same_time(assistant: Assistant) -> None:
    provision = assistant.provision("LLM05:2025")[0]
    things: list[Callable[[], object]] = [
        lambda: assistant.ask(CHECKPOINT),
        lambda: assistant.search("prompt injection", 5),
        lambda: assistant.checklist("evaluation", "bias"),
        lambda: assistant.confidence(CLOUDY).features,
        lambda: list(assistant.stream(EIGHT[3])),
        lambda: assistant.provision("Art. 26(5)"),
        lambda: assistant.related(provision),
        lambda: (assistant.sources(), assistant.coverage()),
    ]
    alone = [thing() for thing in things]
    barrier = threading.Barrier(32)

    def do(number: int) -> object:
        barrier.wait(timeout=30)
        return things[number % len(things)]()

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(do, range(32))) == alone * 4


@pytest.mark.parametrize("question", [CHECKPOINT, EIGHT[3]])
def test_processes_with_other_hash_seeds_give_the_same_json(
    assistant: Assistant, question: str
) -> None:
    running = [
        subprocess.Popen(
            [*PROGRAM, "ask", question, "--json"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4242")
    ]
    found = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    for answer in found:
        del answer["timings_ms"]
    assert found[0] == found[1] == plain(assistant.ask(question))
    assert json.dumps(found[0]) == json.dumps(found[1])


# Opening and closing


def test_opening_without_an_index_raises_and_makes_none(tmp_path: Path) -> None:
    cache = with_model(tmp_path / "cache")
    with pytest.raises(IndexMissing, match="safety-assistant index build"):
        Assistant.open(Settings(cache=cache), build=False)
    assert [path.name for path in cache.iterdir()] == ["models"]


def test_closing_twice_does_nothing_more(tmp_path: Path) -> None:
    settings = load_settings(corpus=SMALL, cache=with_model(tmp_path / "cache"))
    opened = Assistant.open(settings)
    assert opened.ask("EX01").outcome == "answered"
    opened.close()
    opened.close()
    with opened:
        pass


def settles(done: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    """Whether something becomes so; Chroma's native threads close files a little after close()."""
    end = time.monotonic() + timeout_s
    while not done() and time.monotonic() < end:
        time.sleep(0.002)
    return done()


@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="handles are counted otherwise")
def test_opening_and_closing_twenty_times_leaves_no_handle_and_no_thread(tmp_path: Path) -> None:
    settings = load_settings(corpus=SMALL, cache=with_model(tmp_path / "cache"))
    process = psutil.Process()

    def open_files() -> list[str]:
        return [path for path, *_ in process.open_files() if path.startswith(str(settings.cache))]

    def used() -> tuple[int, int]:
        gc.collect()
        return process.num_fds(), process.num_threads()

    with Assistant.open(settings) as first:
        first.ask("EX01")
    del first
    assert settles(lambda: open_files() == [])
    before, python_threads = used(), set(threading.enumerate())
    for _ in range(20):
        with Assistant.open(settings, build=False) as opened:
            opened.ask("Is it safe to load a pickle checkpoint?")
            assert open_files()
        assert set(threading.enumerate()) == python_threads
        del opened
    assert settles(lambda: open_files() == [])
    assert settles(lambda: all(now <= then for now, then in zip(used(), before, strict=True)))


@pytest.mark.parametrize("ask", ["ask", "stream", "search", "checklist", "confidence"])
def test_what_is_closed_says_so(hashed: Settings, ask: str) -> None:
    gate = Gate()
    gate.opened.set()
    with gated(hashed, gate) as opened:
        given = "deployment" if ask == "checklist" else "Is a pickle safe?"
        getattr(opened, ask)(given)
    with pytest.raises(AssistantClosed, match="Open one with"):
        getattr(opened, ask)(given)
    assert opened.sources() and opened.coverage() and opened.provision("EX01")


def test_the_example_of_the_package_runs() -> None:
    lines = [line for line in (package_doc or "").splitlines() if line.startswith("    ")]
    code = textwrap.dedent("\n".join(lines)) + "\nprint(answer.outcome)\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "answered\n", "")
