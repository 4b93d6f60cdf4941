"""A model whose replies stand in a file: rounds of missing prompts, for follow-ups and whole answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assistant import Assistant
from evals.__main__ import main
from evals.questions import EvalQuestion

PROVISION = "pytorch-security#SECURITY.md – Untrusted models – Be mindful of risky model formats"
ROOT_QUESTION = "Is it safe to load a pickle checkpoint from the internet?"
FOLLOW_UP = "and who says so?"
REWRITTEN = "Who says that it is safe to load a pickle checkpoint?"


@pytest.fixture(autouse=True)
def one_index(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command opens the index that is open already, and leaves it open."""
    parts = (assistant.corpus, assistant.index, assistant._retriever)
    monkeypatch.setattr(Assistant, "open", lambda settings, **_: Assistant(settings, *parts))
    monkeypatch.setattr(Assistant, "close", lambda self: None)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """One dialogue."""
    asked = EvalQuestion(
        id="test-1",
        question=FOLLOW_UP,
        phase=None,
        kind="follow-up",
        topic="unsafe-loading",
        gold=({"id": PROVISION, "grade": 2},),
        context=(ROOT_QUESTION,),
        author="test",
        basis="test",
    )
    path = tmp_path / "set.jsonl"
    path.write_text(asked.model_dump_json() + "\n", encoding="utf-8")
    return path


class Rounds:
    """A command with a recorded model, run again after each round of replies."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
        self.replies, self.lacking = folder / "replies.jsonl", folder / "replies.missing.jsonl"
        command = ["evals", *map(str, arguments), "--model", f"recorded:{self.replies}"]
        monkeypatch.setattr("sys.argv", command)

    def run(self) -> list[str]:
        """What prompts it lacked: the last message of each."""
        status = main()
        assert (status == 2) == self.lacking.exists()
        return [row["messages"][-1]["content"] for row in self._rows()] if status else []

    def reply(self, text: str) -> None:
        """Reply the same to all that it lacked."""
        with self.replies.open("a", encoding="utf-8") as file:
            for row in self._rows():
                file.write(json.dumps({"key": row["key"], "reply": text}) + "\n")

    def _rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lacking.read_text("utf-8").splitlines()]


def test_follow_ups_are_measured_with_recorded_rewritings(
    questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rounds = Rounds(tmp_path, monkeypatch, "follow-ups", questions)
    (prompt,) = rounds.run()
    assert prompt.endswith(f"Follow-up: {json.dumps(FOLLOW_UP)}")
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{rounds.replies} lacks 1 replies. The prompts are in {rounds.lacking}" in said.err
    rounds.reply(REWRITTEN)
    assert rounds.run() == []
    table = capsys.readouterr().out
    assert "| in the conversation, rewritten by a model | " in table
    assert "asked 1 times; the rules' reading was kept 0 times." in table


def test_what_a_model_wrote_amiss_is_told(
    questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rounds = Rounds(tmp_path, monkeypatch, "follow-ups", questions)
    rounds.run()
    rounds.reply("Nobody says so.")
    assert rounds.run() == []
    assert capsys.readouterr().out.endswith(
        'the model wrote no plain question: "Nobody says so."\n'
    )


def test_whole_answers_take_several_rounds(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    rounds = Rounds(tmp_path, monkeypatch, "run", questions, "--out", out)
    wrong = "Unpickling a checkpoint takes 40 minutes. [S1]"
    for begins, reply in (
        ("Passages:", wrong),
        ("The line below was refused", "NOTHING"),
        ('{"asked": ', REWRITTEN),
        ("Passages:", wrong),
        ("The line below was refused", "NOTHING"),
    ):
        (prompt,) = rounds.run()
        assert prompt.startswith(begins)
        assert not out.exists()
        rounds.reply(reply)
    assert rounds.run() == []
    _, row = map(json.loads, (out / "rows.jsonl").read_text("utf-8").splitlines())
    assert (row["read_as"], row["model"], row["withheld"]) == (REWRITTEN, None, 1)
    assert (out / "result.json").exists()
