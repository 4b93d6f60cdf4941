"""Pooled judgements: what goes on a sheet, what is read back, and what becomes of the gold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.documents import load_corpus
from evals.__main__ import main
from evals.pooling import JudgementError, judged, pool, read_judgements, sheet
from evals.questions import EvalQuestion, load_questions
from tests.conftest import SMALL

PICKLE, LOGS, PII = (f"example-guideline#EX0{number}" for number in (1, 2, 3))


def question(**changes: object) -> EvalQuestion:
    """An answerable question with PICKLE as gold, with changes."""
    values = {
        "id": "test-1",
        "question": "May I load a pickle checkpoint?",
        "phase": "model-selection",
        "kind": "answerable",
        "topic": "unsafe-loading",
        "gold": [{"id": PICKLE, "grade": 2}],
        "author": "test",
        "basis": "test",
    }
    return EvalQuestion.model_validate(values | changes)


def test_a_pool_is_the_first_of_each_ranking_and_the_gold() -> None:
    rankings = [{"test-1": [LOGS, PII]}, {"test-1": [LOGS]}, {"test-2": ["other#1"]}]
    assert sorted(pool(question(), rankings, 1)) == [PICKLE, LOGS]
    assert sorted(pool(question(), rankings, 2)) == [PICKLE, LOGS, PII]


def test_the_order_of_a_pool_tells_nothing_of_who_found_what() -> None:
    one = pool(question(), [{"test-1": [LOGS, PII]}], 2)
    other = pool(question(), [{"test-1": [PII]}, {"test-1": [LOGS]}], 2)
    assert one == other


def a_sheet() -> str:
    corpus = load_corpus(SMALL)
    return sheet([question()], [{"test-1": [LOGS, PII, "gone#1"]}], 3, corpus)


def numbers() -> dict[str, int]:
    found = pool(question(), [{"test-1": [LOGS, PII, "gone#1"]}], 3)
    return {id: number for number, id in enumerate(found, start=1)}


def test_a_sheet_shows_passages_and_neither_grades_nor_rankers() -> None:
    text = a_sheet()
    assert "## test-1 · May I load a pickle checkpoint?" in text
    assert "gone#1" not in text
    corpus = load_corpus(SMALL)
    for id in (PICKLE, LOGS, PII):
        assert f"### {numbers()[id]} · {id}" in text
        assert corpus.by_id[id].title in text


def test_what_a_judge_passed_over_is_judged_as_nothing() -> None:
    grades = read_judgements(a_sheet(), f"test-1\t{numbers()[LOGS]}\t2\n\n")
    assert grades == {"test-1": {PICKLE: 0, LOGS: 2, PII: 0}}
    assert read_judgements(a_sheet(), "test-1\tnone\n") == {"test-1": {PICKLE: 0, LOGS: 0, PII: 0}}
    assert read_judgements(a_sheet(), "") == {}


@pytest.mark.parametrize(
    "line", ["test-2\t1\t2", "test-1\t99\t2", "test-1\t1\t3", "test-1\tx\t1", "x"]
)
def test_a_judgement_that_names_nothing_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(JudgementError, match="line 2"):
        read_judgements(a_sheet(), f"\n{line}\n")


def test_the_gold_becomes_what_was_judged() -> None:
    gold = judged(question(), {"test-1": {PICKLE: 1, LOGS: 2, PII: 0}}).gold
    assert [(entry.id, entry.grade) for entry in gold] == [(LOGS, 2), (PICKLE, 1)]


@pytest.mark.parametrize("row", [{}, {PICKLE: 0, LOGS: 1}])
def test_a_question_that_nothing_was_found_to_answer_keeps_its_gold(row: dict[str, int]) -> None:
    assert judged(question(), {"test-1": row}) == question()


def test_an_unanswerable_question_gets_no_gold() -> None:
    unanswerable = question(kind="near-miss", gold=[])
    assert judged(unanswerable, {"test-1": {LOGS: 2}}) == unanswerable


def test_sheets_are_written_and_judgements_put_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAFETY_ASSISTANT_CORPUS", str(SMALL))
    asked, sheets = tmp_path / "asked.jsonl", tmp_path / "sheets"
    rows = [question(), question(id="test-2"), question(id="test-3", kind="near-miss", gold=[])]
    asked.write_text("".join(f"{row.model_dump_json(exclude_unset=True)}\n" for row in rows))
    ranked = {
        "peers": [{"rows": [{"id": "test-1", "top": [LOGS]}, {"id": "test-2", "top": [PII]}]}]
    }
    rankings = tmp_path / "peers.json"
    rankings.write_text(json.dumps(ranked))
    command = ["evals", "pool", str(asked), "--rankings", str(rankings), "--size", "1"]
    monkeypatch.setattr("sys.argv", [*command, "--out", str(sheets)])
    assert main() == 0
    assert sorted(path.name for path in sheets.iterdir()) == ["001.md", "002.md"]
    found = pool(question(), [{"test-1": [LOGS]}], 10)
    (sheets / "001.tsv").write_text(f"test-1\t{found.index(LOGS) + 1}\t2\n")
    monkeypatch.setattr("sys.argv", ["evals", "judged", str(asked), str(sheets)])
    assert main() == 0
    one, two, three = load_questions(asked)
    assert [entry.id for entry in one.gold] == [LOGS]
    assert (two, three) == (rows[1], rows[2])
