"""Ask every question of a set and note what came back: ``python -m evals run``.

The rows of a run are JSON Lines, one a question, appended as they are made, so that a run that was
interrupted goes on where it stopped. A run belongs to one corpus version, question file, recipe, model
and state of the program: rows of another are not taken over.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import assistant as program
from assistant import Answer, Assistant
from assistant.index.manifest import recipe_sha256
from evals.questions import EvalQuestion

DEPTH = 50
"""How many hits of a ranking are noted."""
PROGRAM = (Path(program.__file__).parent, Path(__file__))
"""The code that decides what a row holds."""


def ask_in_context(assistant: Assistant, question: EvalQuestion) -> Answer:
    """Ask what comes before a question, then the question with those answers as its history."""
    history: list[Answer] = []
    for earlier in question.context:
        history.append(assistant.ask(earlier, history=history))
    return assistant.ask(question.question, history=history)


def ranking(assistant: Assistant, answer: Answer) -> dict[str, float]:
    """The provisions found for what an answer's question was read as, with their scores."""
    phases = answer.phases if answer.read_as != answer.question else None
    hits = assistant.search(answer.read_as, DEPTH, phase=phases)
    return {hit.provision.id: hit.score for hit in hits}


def run_questions(
    assistant: Assistant,
    questions: Iterable[EvalQuestion],
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Ask all questions that ``path`` does not hold yet; returns all rows in question order."""
    questions = list(questions)
    stamp = _stamp(assistant, questions)
    done = _read(path, stamp)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in ({"stamp": stamp}, *done.values()):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        for number, question in enumerate(questions, start=1):
            if question.id not in done:
                done[question.id] = ask(assistant, question)
                file.write(json.dumps(done[question.id], ensure_ascii=False) + "\n")
                file.flush()
            progress(number, len(questions))
    return [done[question.id] for question in questions]


def ask(assistant: Assistant, question: EvalQuestion) -> dict[str, Any]:
    """One row: ranking, answer, confidence, time (with what was asked before); JSON-ready.

    same_again: whether the same question has the same answer once more; null where a model writes.
    """
    begun = time.perf_counter()
    answer = ask_in_context(assistant, question)
    elapsed_ms = (time.perf_counter() - begun) * 1000
    confidence = assistant.confidence(answer.read_as)
    return {
        "id": question.id,
        "kind": question.kind,
        "phase": question.phase,
        "topic": question.topic,
        "source_kinds": _source_kinds(assistant, question),
        "ranking": ranking(assistant, answer),
        "outcome": answer.outcome,
        "reason": answer.reason,
        "phases": list(answer.phases),
        "read_as": answer.read_as,
        "model": answer.model,
        "withheld": answer.withheld,
        "statements": [
            {"text": entry.text, "role": entry.role, "cited": cited(answer, entry.citations)}
            for entry in answer.statements
        ],
        "supported": _supported(assistant, answer),
        "probability": confidence.probability,
        "features": dict(confidence.features),
        "elapsed_ms": elapsed_ms,
        "same_again": _same_again(assistant, question, answer),
    }


def _source_kinds(assistant: Assistant, question: EvalQuestion) -> list[str]:
    """The kinds of the sources that answer a question."""
    answering = [assistant.corpus.by_id[gold.id] for gold in question.gold if gold.grade == 2]
    sources = assistant.corpus.by_source
    return sorted({sources[entry.source_id].source.kind for entry in answering})


def _same_again(assistant: Assistant, question: EvalQuestion, answer: Answer) -> bool | None:
    """Whether asking once more gives the same answer but for its times; None with a model."""
    if assistant.settings.model != "none":
        return None
    again = ask_in_context(assistant, question)
    return replace(again, timings_ms={}) == replace(answer, timings_ms={})


def cited(answer: Answer, numbers: Iterable[int]) -> list[str]:
    """Ids of the provisions that citations of an answer name."""
    by_number = {citation.number: citation for citation in answer.citations}
    chosen = [by_number[number] for number in numbers]
    return [f"{citation.source_id}#{citation.locator}" for citation in chosen]


def _supported(assistant: Assistant, answer: Answer) -> int:
    """How many statements are, word for word, the quote of a citation found in its document."""
    by_number: Mapping[int, Any] = {citation.number: citation for citation in answer.citations}
    count = 0
    for statement in answer.statements:
        quotes = [by_number[number] for number in statement.citations]
        count += any(
            assistant.document(entry.source_id).text[entry.start : entry.stop]
            == entry.quote
            == statement.text
            for entry in quotes
        )
    return count


def _stamp(assistant: Assistant, questions: list[EvalQuestion]) -> str:
    settings = assistant.settings
    parts = (
        assistant.corpus.sha256,
        recipe_sha256(settings.recipe),
        (settings.recipe / "ranking.json").read_text("utf-8"),
        "\n".join(question.model_dump_json() for question in questions),
        settings.embedding_model,
        settings.model,
        code_sha256(*PROGRAM),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def code_sha256(*paths: Path) -> str:
    """Digest of Python files, and of those in folders, with their places."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(path.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _read(path: Path, stamp: str) -> dict[str, dict[str, Any]]:
    """Rows of an unfinished run of the same stamp; a torn last line is dropped."""
    if not path.is_file():
        return {}
    rows: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines()):
        try:
            data = json.loads(line)
        except ValueError:
            break
        if number == 0:
            if data.get("stamp") != stamp:
                return {}
        else:
            rows[data["id"]] = data
    return rows
