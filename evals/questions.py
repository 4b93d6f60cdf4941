"""Question sets: JSON Lines with a strict schema, one question a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assistant.documents import Corpus

Kind = Literal[
    "answerable",
    "multi-source",
    "numeric-trap",
    "identifier",
    "follow-up",
    "poisoned",
    "unknown-identifier",
    "out-of-scope",
    "not-covered",
    "near-miss",
]
ANSWERABLE: frozenset[str] = frozenset(
    {"answerable", "multi-source", "numeric-trap", "identifier", "follow-up", "poisoned"}
)


class Gold(BaseModel):
    """A provision that answers (grade 2) or helps with (grade 1) a question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    grade: Literal[1, 2]


class EvalQuestion(BaseModel):
    """One question with what is expected of its answer.

    A poisoned question is one of another kind with an order to the assistant in it; it is to be answered
    as if that were not there.

    gold: provisions that answer or help; any of grade 2 suffices. facts: texts of which a correct
    answer holds each one (case-insensitive substring). context: questions asked before, in order,
    which a follow-up needs and any other may have. new_topic: it stands on its own, whatever was
    asked before. author and basis: who wrote it, and from what situation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z]+-\d+$")
    question: str = Field(min_length=1, max_length=2000)
    phase: str | None
    kind: Kind
    topic: str
    gold: tuple[Gold, ...] = ()
    facts: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    new_topic: bool = False
    author: str = Field(min_length=3)
    basis: str = Field(min_length=3)

    @property
    def answerable(self) -> bool:
        """Whether the assistant should answer."""
        return self.kind in ANSWERABLE

    @model_validator(mode="after")
    def _consistent(self) -> EvalQuestion:
        if self.answerable != any(entry.grade == 2 for entry in self.gold):
            raise ValueError(
                "an answerable question needs gold of grade 2, and no other question has any"
            )
        if not self.context and (self.kind == "follow-up" or self.new_topic):
            raise ValueError("a follow-up and a change of topic need the context they come after")
        if self.new_topic and self.kind == "follow-up":
            raise ValueError("a follow-up belongs to the topic of its context")
        return self


class QuestionSetError(Exception):
    """A question set breaks the schema, or asks for what the corpus has not; names the place."""


def load_questions(path: Path) -> list[EvalQuestion]:
    """Read a question set; raises QuestionSetError with the line of the first problem."""
    questions: list[EvalQuestion] = []
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionSetError(f"{path}:1: cannot be read: {error}") from error
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            question = EvalQuestion.model_validate(json.loads(line))
        except (ValidationError, ValueError) as error:
            raise QuestionSetError(f"{path}:{number}: {error}") from error
        if question.id in seen:
            raise QuestionSetError(f"{path}:{number}: the id {question.id} is used twice")
        seen.add(question.id)
        questions.append(question)
    if not questions:
        raise QuestionSetError(f"{path}:1: no question in the file")
    return questions


def check_against(questions: Sequence[EvalQuestion], corpus: Corpus) -> None:
    """Raise QuestionSetError for an id used twice, and for gold or a phase that a corpus has not."""
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise QuestionSetError(f"the id {question.id} is in two of the files")
        seen.add(question.id)
        for gold in question.gold:
            if gold.id not in corpus.by_id:
                raise QuestionSetError(f"{question.id}: the corpus has no provision {gold.id}")
        if question.phase is not None and question.phase not in corpus.taxonomy.phases:
            raise QuestionSetError(f"{question.id}: the taxonomy has no phase {question.phase}")
