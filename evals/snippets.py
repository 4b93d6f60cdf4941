"""Questions that carry code: what is seen in it and where it leads, ``python -m evals code``.

The baseline is the same question asked alone. The snippets of ``evals/code`` were written before
anything read code; the vocabulary was then made with the development ones, and the held-out ones
were run once at the end. One person wrote snippets, gold and vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assistant import Answer, Assistant, CodeContext
from evals.measures import bootstrap_interval, mean, ranking_by_question
from evals.questions import Gold, QuestionSetError

DEPTH = 10


class Snippet(BaseModel):
    """A question with code, the provisions it must lead to, and the signs to be seen in it.

    kind: "innocent" for code in which nothing is to be noticed, which has neither gold nor signs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^code-[a-z]+-\d+$")
    question: str = Field(min_length=1, max_length=2000)
    path: str
    language: str
    selection: str
    manifest: str
    kind: Literal["signs", "innocent"]
    signs: tuple[str, ...]
    gold: tuple[Gold, ...]

    @property
    def code(self) -> CodeContext:
        """The code as the assistant takes it."""
        return CodeContext(self.path, self.language, self.selection, self.manifest)

    @model_validator(mode="after")
    def _consistent(self) -> Snippet:
        answering = any(entry.grade == 2 for entry in self.gold)
        if {bool(self.signs), answering} != {self.kind == "signs"}:
            raise ValueError("signs and gold of grade 2 belong to each snippet but innocent ones")
        return self


def load_snippets(path: Path) -> list[Snippet]:
    """Read a set; raises QuestionSetError with the line of the first problem."""
    snippets: list[Snippet] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            snippets.append(Snippet.model_validate(json.loads(line)))
        except (ValidationError, ValueError) as error:
            raise QuestionSetError(f"{path}:{number}: {error}") from error
    return snippets


def run_snippets(assistant: Assistant, snippets: Sequence[Snippet]) -> dict[str, Any]:
    """Ask each with its code and alone: ``figures`` (with, alone, interval of with) and ``table``."""
    table = [_row(assistant, snippet) for snippet in snippets]
    telling = [row for row in table if row["kind"] == "signs"]
    innocent = [row for row in table if row["kind"] == "innocent"]
    expected = [float(name in row["seen"]) for row in telling for name in row["expected"]]
    further = [float(name not in row["expected"]) for row in telling for name in row["seen"]]
    figures = {
        "signs found": _figure(expected),
        "seen beyond the expected": _figure(further),
        "innocent code noticed": _figure([float(bool(row["seen"])) for row in innocent]),
    }
    for name in ("answered", "first", f"top {DEPTH}", f"nDCG@{DEPTH}"):
        with_code = [row["with"][name] for row in telling]
        figures[name] = _figure(with_code, [row["alone"][name] for row in telling])
    return {"snippets": len(table), "figures": figures, "table": table}


def _row(assistant: Assistant, snippet: Snippet) -> dict[str, Any]:
    with_code = assistant.ask(snippet.question, code=snippet.code)
    return {
        "id": snippet.id,
        "kind": snippet.kind,
        "question": snippet.question,
        "expected": snippet.signs,
        "seen": list(dict.fromkeys(entry.name for entry in with_code.noticed)),
        "with": _measures(assistant, snippet, with_code, snippet.code),
        "alone": _measures(assistant, snippet, assistant.ask(snippet.question), None),
    }


def _measures(
    assistant: Assistant, snippet: Snippet, answer: Answer, code: CodeContext | None
) -> dict[str, Any]:
    """first: whether the first statement cites gold that answers; top: whether the best hits do."""
    grades = {entry.id: entry.grade for entry in snippet.gold}
    hits = assistant.search(snippet.question, DEPTH, code=code)
    ranking = {hit.provision.id: hit.score for hit in hits}
    numbers = answer.statements[0].citations if answer.statements else ()
    cited = [f"{c.source_id}#{c.locator}" for c in answer.citations if c.number in numbers]
    ranked = ranking_by_question({snippet.id: grades}, {snippet.id: ranking}) if grades else {}
    return {
        "answered": float(answer.outcome == "answered"),
        "first": float(any(grades.get(name) == 2 for name in cited)),
        f"top {DEPTH}": float(any(grades.get(name) == 2 for name in ranking)),
        f"nDCG@{DEPTH}": ranked[snippet.id]["nDCG@10"] if ranked else None,
        "cited first": cited,
    }


def _figure(values: Sequence[float], alone: Sequence[float] | None = None) -> dict[str, Any]:
    low, high = bootstrap_interval(values)
    baseline = None if alone is None else mean(alone)
    return {"value": mean(values), "low": low, "high": high, "n": len(values), "alone": baseline}


def markdown(figures: dict[str, dict[str, Any]]) -> str:
    """The figures as a table."""
    lines = [
        "| measure | with the code | 95 % interval | question alone | of |",
        "|---|---|---|---|---|",
    ]
    for name, figure in figures.items():
        alone = "" if figure["alone"] is None else f"{figure['alone']:.2f}"
        interval = f"{figure['low']:.2f} – {figure['high']:.2f}"
        lines.append(f"| {name} | {figure['value']:.2f} | {interval} | {alone} | {figure['n']} |")
    return "\n".join(lines)
