"""How follow-up questions are answered: ``python -m evals follow-ups``.

Each question is asked after its context, alone, and joined with its context into one text, and with a
model after its context as that rewrites it; all are measured alike, on the sources' own sentences. A
question on a new topic should be answered as if nothing came before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from assistant import Answer, Assistant, Reply
from assistant.generation import LanguageModel
from assistant.questions import MAX_CHARS
from assistant.rewriting import read_follow_up
from evals.measures import bootstrap_interval, mean, ranking_by_question
from evals.questions import EvalQuestion
from evals.run import ask_in_context, cited, ranking

Way = Callable[[Assistant, EvalQuestion], Answer]
Figures = dict[str, dict[str, dict[str, float]]]


def alone(assistant: Assistant, question: EvalQuestion) -> Answer:
    """The answer to a question as if nothing had been asked before it."""
    return assistant.ask(question.question)


def joined(assistant: Assistant, question: EvalQuestion) -> Answer:
    """The answer to the context and the question as one text."""
    return assistant.ask(" ".join((*question.context, question.question)))


WAYS: Mapping[str, Way] = {
    "in the conversation": ask_in_context,
    "question alone": alone,
    "context and question joined": joined,
}
REWRITTEN = "in the conversation, rewritten by a model"


def rewritten_by(model: LanguageModel, replies: list[Reply]) -> Way:
    """As in the conversation, but a model may rewrite each question; ``replies`` gets what it sent."""

    def covers(assistant: Assistant, text: str) -> bool:
        found = assistant.confidence(text[:MAX_CHARS])
        return found.probability >= found.threshold

    def way(assistant: Assistant, question: EvalQuestion) -> Answer:
        history: list[Answer] = []
        for text in (*question.context, question.question):
            reading, reply = read_follow_up(
                text,
                history,
                assistant.corpus,
                partial(covers, assistant),
                None,
                model,
                time.monotonic() + model.timeout_s,
            )
            answer = assistant.ask(reading.text, phase=reading.phases)
            if reply:
                replies.append(reply)
            by = model.name if reply and not reply.failure else None
            history.append(replace(answer, question=text, read_by=by))
        return history[-1]

    return way


COLUMNS = ("nDCG@10", "first", "refused", "not covered, answered", "new topic as alone")


def measure(
    assistant: Assistant, questions: Sequence[EvalQuestion], ways: Mapping[str, Way] = WAYS
) -> Figures:
    """For each way and each of COLUMNS the mean, its 95 % bootstrap interval, and n questions.

    nDCG@10, first (the first statement cites a provision that answers; a refusal counts as 0) and
    refused are over the follow-ups that sources answer. "not covered, answered" is over those that
    none does; "new topic as alone" is the share of questions on a new topic whose answer is the same
    as that of the question alone.
    """
    figures: Figures = {}
    by_itself = {entry.id: alone(assistant, entry) for entry in questions if entry.new_topic}
    for name, way in ways.items():
        found = {entry.id: way(assistant, entry) for entry in questions}
        follow_ups = [entry for entry in questions if entry.kind == "follow-up"]
        ranked = ranking_by_question(
            {entry.id: {gold.id: gold.grade for gold in entry.gold} for entry in follow_ups},
            {entry.id: ranking(assistant, found[entry.id]) for entry in follow_ups},
        )
        values = {
            "nDCG@10": [ranked[entry.id]["nDCG@10"] for entry in follow_ups],
            "first": [_first(entry, found[entry.id]) for entry in follow_ups],
            "refused": [_is(found[entry.id], "abstained") for entry in follow_ups],
            "not covered, answered": [
                _is(found[entry.id], "answered")
                for entry in questions
                if not entry.answerable and not entry.new_topic
            ],
            "new topic as alone": [
                float(_same(found[key], expected)) for key, expected in by_itself.items()
            ],
        }
        figures[name] = {column: _figure(values[column]) for column in COLUMNS}
    return figures


def _first(question: EvalQuestion, answer: Answer) -> float:
    if not answer.statements:
        return 0.0
    answering = {gold.id for gold in question.gold if gold.grade == 2}
    return float(not answering.isdisjoint(cited(answer, answer.statements[0].citations)))


def _is(answer: Answer, outcome: str) -> float:
    return float(answer.outcome == outcome)


def _same(one: Answer, other: Answer) -> bool:
    """Whether two answers differ in nothing but the texts of their questions."""
    return replace(one, question="", read_as="") == replace(other, question="", read_as="")


def _figure(values: Sequence[float]) -> dict[str, float]:
    low, high = bootstrap_interval(values)
    return {"value": mean(values), "low": low, "high": high, "n": len(values)}


def markdown(figures: Figures) -> str:
    """The figures as a table, one way a row."""
    counts = next(iter(figures.values()))
    head = " | ".join(f"{column} (n={counts[column]['n']:.0f})" for column in COLUMNS)
    lines = [f"| asked | {head} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in figures.items():
        cells = (
            f"{row[column]['value']:.3f} ({row[column]['low']:.2f}–{row[column]['high']:.2f})"
            for column in COLUMNS
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
