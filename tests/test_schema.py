"""The published schemas: equal to the code, true of real answers, and kept by later releases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from assistant import Assistant, json_schema
from assistant.schema import VERSIONS
from evals.readme import schemas
from tests.conftest import ROOT
from tests.test_api import TWENTY

FOLDER = ROOT / "docs" / "schema"
CITATION = (
    "number source_id title publisher kind binding jurisdiction version date in_force_from status "
    "locator heading url page quote start stop document_sha256"
)
FIRST = {
    "answer-1": {
        "Answer": "question outcome reason nearest phases statements citations withheld "
        "corpus_version timings_ms",
        "Topic": "question source_id locator title",
        "Statement": "text role citations",
        "Citation": CITATION,
    },
    "checklist-1": {
        "Checklist": "phase before after items citations left_out withheld corpus_version",
        "ChecklistItem": "text concern role citations",
        "Citation": CITATION,
    },
}
"""The fields that each number was first published with, by type."""


def read(stem: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((FOLDER / f"{stem}.json").read_text("utf-8"))
    return schema


def closed(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator that also refuses fields which the schema does not know."""
    schema = json.loads(json.dumps(schema))
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value.to_dict()))


@pytest.mark.parametrize("name", schemas())
def test_the_file_is_what_the_code_says(name: str) -> None:
    """If this fails: python -m evals readme"""
    assert (FOLDER / name).read_text("utf-8") == schemas()[name]


@pytest.mark.parametrize("name", VERSIONS)
def test_the_command_prints_it(name: str) -> None:
    command = [sys.executable, "-m", "assistant.interfaces.cli", "schema", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json_schema(name)
    assert json_schema(name)["$id"].endswith(f":{name}:{VERSIONS[name]}")


@pytest.mark.parametrize("stem", FIRST)
def test_what_was_published_is_still_there(stem: str) -> None:
    """If this fails: restore the field, or raise the number in assistant/schema.py and add to FIRST"""
    schema = read(stem)
    parts = {schema["title"]: schema, **schema["$defs"]}
    for kind, fields in FIRST[stem].items():
        assert set(fields.split()) <= set(parts[kind]["required"])


def test_every_published_schema_is_watched() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(FIRST)
    assert {f"{name}-{number}" for name, number in VERSIONS.items()} <= set(FIRST)


def test_real_answers_are_valid(assistant: Assistant) -> None:
    check = closed(read("answer-1"))
    answers = [as_json(assistant.ask(question)) for question in TWENTY]
    assert {answer["outcome"] for answer in answers} == {"answered", "abstained"}
    for answer in answers:
        check.validate(answer)


def test_real_checklists_are_valid(assistant: Assistant) -> None:
    check = closed(read("checklist-1"))
    for phase in assistant.corpus.taxonomy.phases:
        check.validate(as_json(assistant.checklist(phase, per_concern=1)))


def broken(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Answers that are not, each wrong in one place."""
    yield {**answer, "outcome": "maybe"}
    yield {**answer, "withheld": None}
    yield {key: value for key, value in answer.items() if key != "reason"}
    first, *rest = answer["citations"]
    yield {**answer, "citations": [{**first, "start": "0"}, *rest]}
    yield {**answer, "statements": [{"text": "Uncited", "role": "answer"}]}


def test_what_is_no_answer_is_invalid(assistant: Assistant) -> None:
    check = Draft202012Validator(read("answer-1"))
    for answer in broken(as_json(assistant.ask("What does LLM05 say?"))):
        assert not check.is_valid(answer)
