"""Judges: the gold's, and a language model's over HTTP, whose verdict counts only if it is exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.generation import open_model
from evals.__main__ import main
from evals.judge import GoldJudge, ModelJudge, compare_judges
from evals.openai_server import OpenAIServer, Request, Response, words

ROWS = [
    ("q-1", "May I load it?", 1.0, "Do not unpickle it."),
    ("q-2", "Is it allowed?", 0.0, "Some statement."),
    ("q-3", "And this?", 1.0, "Another statement."),
    ("q-4", "Weather?", None, ""),
]
TABLE = [{"id": key, "question": asked, "first": first} for key, asked, first, _ in ROWS]
RUN = [{"id": key, "statements": [{"text": said}] if said else []} for key, _, _, said in ROWS]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for the scripted server."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")


def replies(by_question: dict[str, str]) -> OpenAIServer:
    def reply(request: Request) -> Response:
        return words(next(said for asked, said in by_question.items() if asked in request.text))

    return OpenAIServer(reply)


def test_the_gold_judges_by_what_is_cited() -> None:
    assert [GoldJudge().verdict(row, "") for row in TABLE] == [True, False, True, None]


def test_only_an_exact_verdict_counts() -> None:
    said = {"May I load": "yes", "Is it allowed": "yes", "And this": "Yes, it does."}
    with replies(said) as server:
        model = open_model("openai:judge", server.url, 20.0)
        found = compare_judges(TABLE, RUN, ModelJudge(model))
    assert (found["scored"], found["unscored"]) == (2, 1)
    assert (found["yes"], found["yes by gold"], found["agreement"]) == (1.0, 0.5, 0.5)
    assert found["differing"] == ["q-2"]


def test_a_model_that_fails_gives_no_verdict() -> None:
    with OpenAIServer(lambda request: Response(status=500)) as server:
        model = open_model("openai:judge", server.url, 20.0)
        found = compare_judges(TABLE, RUN, ModelJudge(model))
    assert (found["scored"], found["unscored"], found["agreement"]) == (0, 3, None)


def test_the_command_prints_the_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_text(
        json.dumps({"figures": {}, "table": TABLE}), encoding="utf-8"
    )
    lines = [json.dumps(line) for line in ({"stamp": "x"}, *RUN)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with replies({"": "no"}) as server:
        arguments = ["judge", str(tmp_path), "--model", "openai:judge", "--base-url", server.url]
        monkeypatch.setattr("sys.argv", ["evals", *arguments])
        assert main() == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["model"], printed["scored"], printed["yes"]) == ("openai:judge", 3, 0.0)
