"""The comparison with other retrieval set-ups, on the small corpus."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from assistant import Document
from assistant.documents import Corpus
from evals.measures import RANKING
from evals.peers import __main__ as program
from evals.peers.base import Passage
from evals.peers.compare import Result, run_peer, table
from evals.peers.process import PeerProcess, PeerUnavailable
from evals.peers.registry import PEERS, install_command, interpreter_variable
from evals.peers.tutorial import overlapped
from evals.questions import EvalQuestion
from tests.conftest import ROOT

DRIFT = "How do I notice that the model got worse after release?"
needs_bm25s = pytest.mark.skipif(not importlib.util.find_spec("bm25s"), reason="no bm25s")


def question(number: int, text: str, gold: str, kind: str = "answerable") -> EvalQuestion:
    return EvalQuestion.model_validate(
        {
            "id": f"small-{number}",
            "question": text,
            "phase": "maintenance",
            "kind": kind,
            "topic": "drift",
            "gold": [{"id": gold, "grade": 2}],
            "context": ["What is drift?"] if kind == "follow-up" else [],
            "author": "test",
            "basis": "test",
        }
    )


@pytest.fixture(autouse=True)
def own_interpreter(monkeypatch: pytest.MonkeyPatch, small_folder: Path) -> None:
    """Peers run on this interpreter and the small corpus, unless a test says otherwise."""
    for name in PEERS:
        monkeypatch.delenv(interpreter_variable(name), raising=False)
    monkeypatch.setenv("SAFETY_ASSISTANT_CORPUS", str(small_folder))


@pytest.fixture
def passages(small_corpus: Corpus) -> list[Passage]:
    return program.passages_of(small_corpus)


@pytest.fixture
def document(small_corpus: Corpus) -> Document:
    return small_corpus.by_source["example-guideline"]


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, command: str) -> None:
    """Give a peer an interpreter of its own: a shell command, with the arguments after it."""
    script = tmp_path / f"python-{name}"
    script.write_text(f'#!/bin/sh\n{command} "$@"\n', "utf-8")
    script.chmod(0o755)
    monkeypatch.setenv(interpreter_variable(name), str(script))


BARE = f'exec "{sys.executable}" -S'
"""An interpreter that has the standard library alone."""


def test_a_passage_is_a_whole_provision(small_corpus: Corpus, passages: list[Passage]) -> None:
    assert [entry.id for entry in passages] == list(small_corpus.by_id)
    drift = next(entry for entry in passages if entry.id == "example-guideline#EX03")
    assert drift.text.startswith("## EX03 | Watch for drift\n- phases: maintenance")
    assert f"- asks: {DRIFT}" in drift.text
    assert drift.text.endswith("passes a threshold.")


@pytest.mark.parametrize("name", [pytest.param("bm25", marks=needs_bm25s), "dense"])
def test_peers_find_the_provision(
    name: str, small_folder: Path, passages: list[Passage], tmp_path: Path
) -> None:
    with PeerProcess(name, tmp_path, small_folder) as peer:
        version, index_s = peer.index(passages)
        ids, search_ms = peer.search(DRIFT, 3)
        more, _ = peer.search(DRIFT, 50)
    assert ids[0] == "example-guideline#EX03" and len(ids) <= 3
    assert set(more) <= {entry.id for entry in passages}
    assert PEERS[name].distributions[0] in version
    assert index_s > 0 and search_ms > 0


def test_a_chunk_counts_for_what_it_overlaps(document: Document) -> None:
    text = document.text
    first, second = (f"example-guideline#EX0{number}" for number in (1, 2))
    border = document.provisions[0].stop
    assert overlapped(document, text[border - 20 : border + 20]) == [first, second]
    assert overlapped(document, text[border - 20 : border]) == [first]
    assert overlapped(document, text[: text.index("## EX01")]) == [], "the front matter is no one's"
    assert overlapped(document, text) == [entry.id for entry in document.provisions]
    assert overlapped(document, "not in the text") == overlapped(document, "") == []


def test_a_chunk_that_occurs_twice_counts_twice(document: Document) -> None:
    repeated = "- concerns: unsafe-loading"
    assert document.text.count(repeated) == 2
    assert overlapped(document, repeated) == ["example-guideline#EX01", "example-guideline#EX04"]


def test_rows_and_table(
    monkeypatch: pytest.MonkeyPatch, small_folder: Path, passages: list[Passage]
) -> None:
    ranking = ["example-guideline#EX01", "example-guideline#EX03"]
    monkeypatch.setattr(PeerProcess, "index", lambda self, given: ("a thing 1.0", 2.0))
    monkeypatch.setattr(PeerProcess, "search", lambda self, query, k: (ranking, 5.0))
    asked = [question(1, DRIFT, ranking[1]), question(2, "Unpickle?", ranking[0])]
    steps: list[tuple[str, int]] = []
    result = run_peer("bm25", small_folder, passages, asked, 10, lambda *step: steps.append(step))
    assert [row["RR(rel=2)"] for row in result.rows] == [0.5, 1.0], "the order given counts"
    assert result.rows[0]["top"] == ranking
    assert steps == [("index", 0), ("search", 0), ("search", 1)]
    broken = Result("txtai", problem="failed: a | b\nc")
    lines = table([result, broken]).splitlines()
    columns = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    assert len(lines) == 4 and {len(cells) for cells in columns} == {len(RANKING) + 4}
    assert columns[0][2:-2] == list(RANKING)
    assert columns[2][:2] == ["| bm25", "a thing 1.0"]
    assert columns[2][2 + RANKING.index("RR(rel=2)")].startswith("0.750 (")
    assert columns[2][-2:] == ["5.0", "2.0 |"]
    assert columns[3][1] == "failed: a \\| b c"


def test_a_missing_peer_is_reported(
    monkeypatch: pytest.MonkeyPatch, small_folder: Path, passages: list[Passage], tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, "txtai", BARE)
    result = run_peer(
        "txtai", small_folder, passages, [question(1, DRIFT, "example-guideline#EX03")], 5
    )
    assert result.problem.startswith("not installed: no '")
    assert "run `pip install -r evals/peers/requirements-txtai.txt -c" in result.problem
    assert result.rows == []
    assert "| txtai | not installed" in table([result])


def test_an_interpreter_that_is_not_there_is_reported(
    monkeypatch: pytest.MonkeyPatch, small_folder: Path, passages: list[Passage], tmp_path: Path
) -> None:
    monkeypatch.setenv("PEERS_PYTHON_HAYSTACK", str(tmp_path / "none"))
    problem = run_peer("haystack", small_folder, passages, [], 5).problem
    assert problem.startswith("PEERS_PYTHON_HAYSTACK names no interpreter")


def test_a_peer_that_dies_or_fails_is_reported(
    monkeypatch: pytest.MonkeyPatch, small_folder: Path, passages: list[Passage], tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, "txtai", "echo out of memory >&2; exit 1;")
    problem = run_peer("txtai", small_folder, passages, [], 5).problem
    assert problem == "failed: the process ended; out of memory"
    refused = pytest.raises(PeerUnavailable, match="failed: ")
    with PeerProcess("bm25", tmp_path, small_folder) as peer, refused:
        peer.search("asked before anything is indexed", 3)


@needs_bm25s
def test_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Follow-ups are left out, a missing peer fails the run at its end, rows are written."""
    asked = [
        question(1, DRIFT, "example-guideline#EX03"),
        question(2, "How often?", "example-guideline#EX03", "follow-up"),
    ]
    file, out = tmp_path / "small.jsonl", tmp_path / "runs" / "peers.json"
    file.write_text("\n".join(entry.model_dump_json() for entry in asked), "utf-8")
    stand_in(monkeypatch, tmp_path, "assistant", BARE)
    status = program.main(
        ["--questions", str(file), "--peers", "bm25", "--k", "5", "--out", str(out)]
    )
    printed = capsys.readouterr().out
    assert status == 1
    assert "| assistant | not installed: " in printed and "| bm25 | bm25s " in printed
    assert "\n1 questions, 8 provisions, corpus " in printed
    written = json.loads(out.read_text("utf-8"))
    assert [entry["name"] for entry in written["peers"]] == ["assistant", "bm25"]
    (row,) = written["peers"][1]["rows"]
    assert row["id"] == "small-1" and row["RR(rel=2)"] == 1.0 and row["nDCG@10"] == 1.0


@needs_bm25s
def test_kept_rankings_are_measured_by_todays_gold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, kept, again = (tmp_path / name for name in ("small.jsonl", "kept.json", "again.json"))
    stand_in(monkeypatch, tmp_path, "assistant", BARE)

    def measured(gold: str, *options: str) -> float:
        file.write_text(question(1, DRIFT, gold).model_dump_json(), "utf-8")
        program.main(["--questions", str(file), "--peers", "bm25", "--k", "5", *options])
        (row,) = json.loads(Path(options[-1]).read_text("utf-8"))["peers"][1]["rows"]
        return float(row["RR(rel=2)"])

    assert measured("example-guideline#EX03", "--out", str(kept)) == 1.0
    monkeypatch.setattr(PeerProcess, "search", lambda self, query, k: pytest.fail("asked again"))
    assert measured("no-such#1", "--again", str(kept), "--out", str(again)) == 0.0


def test_peers_get_a_copy_of_the_corpus(
    monkeypatch: pytest.MonkeyPatch, small_folder: Path, tmp_path: Path
) -> None:
    """What is edited during a run reaches no peer."""
    file = tmp_path / "small.jsonl"
    file.write_text(question(1, DRIFT, "example-guideline#EX03").model_dump_json(), "utf-8")
    given: list[Path] = []

    def noted(name: str, corpus: Path, *others: object) -> Result:
        given.append(corpus)
        assert (corpus / "sources" / "example-act.md").is_file()
        return Result(name, problem="not run")

    monkeypatch.setattr(program, "run_peer", noted)
    assert program.main(["--questions", str(file)]) == 1
    assert len(given) == len(PEERS) and set(given) == {given[0]} != {small_folder}
    assert not given[0].exists(), "and the copy is removed"


def test_unknown_peers_and_questions_asked_twice_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "small.jsonl"
    file.write_text(question(1, DRIFT, "example-guideline#EX03").model_dump_json(), "utf-8")
    for arguments, message in (
        (["--questions", str(file), "--peers", "google"], "unknown peer 'google'; known: "),
        (["--questions", str(file), "--questions", str(file)], "small-1 is in another file"),
        (["--questions", str(file), "--k", "0"], "must be at least 1"),
        (["--questions", str(tmp_path / "none")], "No such file"),
    ):
        with pytest.raises(SystemExit) as stopped:
            program.main(arguments)
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_every_peer_says_how_to_install_it() -> None:
    for name, entry in PEERS.items():
        module = ROOT / f"{entry.module.replace('.', '/')}.py"
        assert f"class {entry.made_by}:" in module.read_text("utf-8")
        assert f'name = "{name}"' in module.read_text("utf-8")
        command = install_command(name).split()
        assert command[:2] == ["pip", "install"]
        if command[2] == "-r":
            lines = (ROOT / command[3]).read_text("utf-8").splitlines()
            assert all("==" in line for line in lines if not line.startswith("#"))
