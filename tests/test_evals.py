"""The workbench: question sets, measures, runs that go on, comparisons that fail, reports."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evals.run
from assistant import Assistant, Settings
from assistant.documents import load_corpus
from assistant.index import build_index, open_index
from assistant.ranking import load_ranking
from assistant.retrieval import Retriever
from evals import follow_ups, report
from evals.__main__ import QUESTIONS, main
from evals.compare import TOLERANCE, compare
from evals.measures import (
    RANKING,
    auroc,
    auroc_interval,
    bootstrap_interval,
    mean,
    ranking_by_question,
    risk_coverage,
)
from evals.questions import EvalQuestion, QuestionSetError, load_questions
from evals.run import run_questions
from evals.summary import ANSWER, per_question, summarise
from tests.conftest import ROOT, SMALL, HashEmbedder

PICKLE = "example-guideline#EX01"
SETS = ("dev", "held_out")
DIALOGUES = ("follow_ups_dev", "follow_ups")
HOSTILE = "<script src=https://evil.example/x.js>alert(1)</script>\"'><img src=x> & more"


def data(**changes: Any) -> dict[str, Any]:
    """One valid question as it stands in a file, with changes."""
    return {
        "id": "test-1",
        "question": "May I load a pickle checkpoint?",
        "phase": "model-selection",
        "kind": "answerable",
        "topic": "unsafe-loading",
        "gold": [{"id": PICKLE, "grade": 2}],
        "facts": ["unpickle"],
        "author": "test",
        "basis": "test",
        **changes,
    }


def question(**changes: Any) -> EvalQuestion:
    return EvalQuestion.model_validate(data(**changes))


def write_set(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# Question sets


def test_valid_questions_are_read(tmp_path: Path) -> None:
    follow_up = data(id="test-2", kind="follow-up", context=["What is pickle?"])
    refused = data(id="test-3", kind="not-covered", gold=[{"id": PICKLE, "grade": 1}], facts=[])
    path = write_set(tmp_path / "set.jsonl", [data(), follow_up, refused])
    path.write_text(path.read_text("utf-8") + "\n", encoding="utf-8")
    found = load_questions(path)
    assert [entry.answerable for entry in found] == [True, True, False]
    assert found[1].context == ("What is pickle?",)


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"id": "Test 1"},
        {"id": "test"},
        {"question": ""},
        {"question": "a" * 2001},
        {"kind": "easy"},
        {"gold": []},
        {"gold": [{"id": PICKLE, "grade": 1}]},
        {"gold": [{"id": PICKLE, "grade": 3}]},
        {"gold": [{"id": PICKLE, "grade": 2, "why": "so"}]},
        {"gold": [{"grade": 2}]},
        {"kind": "out-of-scope"},
        {"kind": "follow-up"},
        {"new_topic": True},
        {"kind": "follow-up", "context": ["What is pickle?"], "new_topic": True},
        {"author": ""},
        {"basis": "x"},
        {"topic": None},
        {"facts": "unpickle"},
    ],
    ids=str,
)
def test_an_inconsistent_question_is_refused_with_file_and_line(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = write_set(tmp_path / "set.jsonl", [data(id="test-9"), data(**changes)])
    with pytest.raises(QuestionSetError) as caught:
        load_questions(path)
    assert str(caught.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("key", [key for key in data() if key not in ("gold", "facts")])
def test_a_question_without_a_part_is_refused(tmp_path: Path, key: str) -> None:
    whole = data()
    del whole[key]
    path = write_set(tmp_path / "set.jsonl", [whole])
    with pytest.raises(QuestionSetError, match=key):
        load_questions(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (json.dumps(data()) + "\n\n" + json.dumps(data()), 3),
        (json.dumps(data())[:-1], 1),
        ("[]", 1),
        ('"text"', 1),
        ("\n\n", 1),
        ("", 1),
    ],
    ids=["id twice", "torn", "list", "text", "blank", "empty"],
)
def test_a_file_that_is_no_question_set_is_refused(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(QuestionSetError) as caught:
        load_questions(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_the_program_refuses_a_broken_set_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_set(tmp_path / "set.jsonl", [data(kind="easy")])
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["evals", "run", str(path), "--out", str(out)])
    assert main() == 2
    assert capsys.readouterr().err.startswith(f"{path}:1: ")
    assert not out.exists()


@pytest.fixture(scope="module")
def committed() -> dict[str, list[EvalQuestion]]:
    """The question sets of the repository."""
    names = (*SETS, *DIALOGUES, "poisoned")
    return {name: load_questions(QUESTIONS / f"{name}.jsonl") for name in names}


def test_committed_sets_are_large_enough(committed: dict[str, list[EvalQuestion]]) -> None:
    every = [entry for name in SETS for entry in committed[name]]
    assert len(every) >= 500
    assert sum(not entry.answerable for entry in every) >= 120
    answerable = sum(entry.answerable for entry in committed["dev"])
    assert answerable >= 60
    assert len(committed["dev"]) - answerable >= 60


@pytest.mark.parametrize("name", DIALOGUES)
def test_committed_dialogues_hold_follow_ups_and_changes_of_topic(
    committed: dict[str, list[EvalQuestion]], name: str
) -> None:
    entries = committed[name]
    assert all(entry.context for entry in entries)
    assert sum(entry.kind == "follow-up" for entry in entries) == 30
    assert sum(entry.new_topic for entry in entries) == 15
    assert sum(not entry.answerable and not entry.new_topic for entry in entries) == 5


def test_a_poisoned_question_is_a_held_out_one_with_an_order_in_it(
    committed: dict[str, list[EvalQuestion]],
) -> None:
    held_out = {entry.id: entry for entry in committed["held_out"]}
    for entry in committed["poisoned"]:
        clean = held_out[entry.basis.split()[0]]
        assert entry.kind == "poisoned" and entry.answerable
        assert clean.question in entry.question != clean.question
        assert (entry.gold, entry.facts) == (clean.gold, clean.facts)


@pytest.mark.parametrize("names", [SETS, DIALOGUES], ids=" ".join)
def test_development_and_held_out_questions_are_apart(
    committed: dict[str, list[EvalQuestion]], names: tuple[str, str]
) -> None:
    dev, held_out = (committed[name] for name in names)
    assert {entry.id for entry in dev}.isdisjoint(entry.id for entry in held_out)
    words = [
        {" ".join((*entry.context, entry.question)).casefold() for entry in one}
        for one in (dev, held_out)
    ]
    assert words[0].isdisjoint(words[1])
    assert [len(one) for one in words] == [len(dev), len(held_out)]


def test_gold_is_in_the_corpus_and_holds_the_facts(
    committed: dict[str, list[EvalQuestion]],
) -> None:
    corpus = load_corpus(ROOT / "corpus")
    for entry in (entry for entries in committed.values() for entry in entries):
        ids = [gold.id for gold in entry.gold]
        assert [name for name in ids if name not in corpus.by_id] == [], entry.id
        assert len(ids) == len(set(ids)), entry.id
        assert entry.phase is None or entry.phase in corpus.taxonomy.phases, entry.id
        provisions = [corpus.by_id[name] for name in ids]
        said = " ".join(
            corpus.by_source[one.source_id].text[one.start : one.stop] for one in provisions
        ).casefold()
        assert [fact for fact in entry.facts if fact.casefold() not in said] == [], entry.id


# Measures


def test_ranking_measures_are_those_computed_by_hand() -> None:
    gold = {"q": {"a": 2, "b": 1, "c": 2}}
    ranked = {"q": {"x": 9.0, "a": 8.0, "b": 7.0, "y": 6.0, "z": 5.0, "c": 4.0}}
    found = ranking_by_question(gold, ranked)["q"]
    # Gain is the grade, discount the binary logarithm of rank + 1.
    gained = 2 / math.log2(3) + 1 / math.log2(4) + 2 / math.log2(7)
    ideal = 2 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert found["nDCG@10"] == pytest.approx(gained / ideal)
    assert found["R(rel=2)@5"] == pytest.approx(1 / 2)
    assert found["R(rel=2)@20"] == pytest.approx(1.0)
    assert found["Success(rel=2)@20"] == 1.0
    assert found["RR(rel=2)"] == pytest.approx(1 / 2)


def test_ranking_beyond_the_cutoff_does_not_count() -> None:
    gold = {"q": {"a": 2}}
    ranked = {"q": {f"x{place}": 100.0 - place for place in range(10)} | {"a": 1.0}}
    found = ranking_by_question(gold, ranked)["q"]
    assert (found["nDCG@10"], found["R(rel=2)@5"], found["R(rel=2)@20"]) == (0.0, 0.0, 1.0)
    assert found["RR(rel=2)"] == pytest.approx(1 / 11)


@pytest.mark.parametrize(("place", "success"), [(20, 1.0), (21, 0.0)])
def test_success_is_one_answering_provision_among_the_first_twenty(
    place: int, success: float
) -> None:
    gold = {"q": {"a": 2, "b": 2, "c": 2, "d": 2, "help": 1}}
    ranked = {"q": {"help": 99.0, **{f"x{n}": 50.0 - n for n in range(place - 2)}, "a": 1.0}}
    found = ranking_by_question(gold, ranked)["q"]
    assert found["Success(rel=2)@20"] == success
    assert found["R(rel=2)@20"] == pytest.approx(success / 4)


def test_a_help_alone_is_neither_recall_nor_success_nor_reciprocal_rank() -> None:
    found = ranking_by_question({"q": {"a": 2, "b": 1}}, {"q": {"b": 1.0}})["q"]
    assert (found["R(rel=2)@5"], found["Success(rel=2)@20"], found["RR(rel=2)"]) == (0.0, 0.0, 0.0)
    assert found["nDCG@10"] == pytest.approx(1 / (2 + 1 / math.log2(3)))


def test_a_question_without_results_counts_as_nothing_found() -> None:
    found = ranking_by_question({"q": {"a": 2}, "r": {"a": 2}}, {"q": {"a": 1.0}})
    assert found == {"q": dict.fromkeys(RANKING, 1.0), "r": dict.fromkeys(RANKING, 0.0)}


def test_mean_and_interval_of_nothing_are_no_number() -> None:
    assert math.isnan(mean([]))
    assert [math.isnan(value) for value in bootstrap_interval([])] == [True, True]
    assert mean([1.0, 2.0, 6.0]) == 3.0


def test_bootstrap_interval() -> None:
    assert bootstrap_interval([0.5] * 7) == (0.5, 0.5)
    values = [0.0] * 50 + [1.0] * 50
    low, high = bootstrap_interval(values)
    # The normal approximation is 0.5 ± 1.96 · 0.05.
    assert low == pytest.approx(0.402, abs=0.02)
    assert high == pytest.approx(0.598, abs=0.02)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, np.max) == (1.0, 1.0)


def test_auroc() -> None:
    assert auroc([0.9, 0.5], [0.5, 0.1]) == pytest.approx(3.5 / 4)
    assert auroc([0.9], [0.1]) == 1.0
    assert auroc([0.1], [0.9]) == 0.0
    assert math.isnan(auroc([], [0.1]))
    assert math.isnan(auroc([0.1], []))


def test_auroc_has_an_interval() -> None:
    positives, negatives = [0.9] * 30 + [0.3] * 10, [0.5] * 20
    low, high = auroc_interval(positives, negatives)
    # The share of positives above, 0.75, with the normal approximation ± 1.96 · 0.068.
    assert low == pytest.approx(0.616, abs=0.02)
    assert high == pytest.approx(0.884, abs=0.02)
    assert auroc_interval([0.9, 0.8], [0.1]) == pytest.approx((1.0, 1.0))
    assert [math.isnan(value) for value in auroc_interval([0.9], [])] == [True, True]


def test_risk_coverage() -> None:
    found = risk_coverage([0.9, 0.1, 0.5], [True, False, False])
    assert found == [
        (0.9, pytest.approx(1 / 3), 0.0),
        (0.5, pytest.approx(2 / 3), pytest.approx(1 / 2)),
        (0.1, 1.0, pytest.approx(2 / 3)),
    ]
    assert risk_coverage([], []) == []


# Rows to figures


def row(
    name: str, ranking: Sequence[str] = (PICKLE,), answered: bool = True, probability: float = 0.9
) -> dict[str, Any]:
    """A row of a run whose first statement cites the first of the ranking."""
    statement = {"text": "Do not unpickle.", "role": "answer", "cited": list(ranking[:1])}
    return {
        "id": name,
        "source_kinds": ["guideline", "law"] if answered else [],
        "ranking": {entry: 10.0 - place for place, entry in enumerate(ranking)},
        "outcome": "answered" if answered else "abstained",
        "phases": ["model-selection"],
        "statements": [statement] if answered else [],
        "supported": 1 if answered else 0,
        "probability": probability,
        "elapsed_ms": 5.0,
        "same_again": True,
    }


def test_rows_become_figures() -> None:
    questions = [
        question(),
        question(id="test-2", facts=["unpickle", "absent"], phase="deployment"),
        question(id="test-3"),
        question(id="test-4", kind="near-miss", gold=[], facts=[], phase=None),
        question(id="test-5", kind="out-of-scope", gold=[], facts=[], phase=None),
    ]
    rows = [
        row("test-1") | {"same_again": False},
        row("test-2", ["x#1", PICKLE], probability=0.6) | {"elapsed_ms": 15.0},
        row("test-3", answered=False, probability=0.2),
        row("test-4", probability=0.6),
        row("test-5", answered=False, probability=0.1),
    ]
    table = per_question(questions, rows)
    assert [entry["first"] for entry in table] == [1.0, 0.0, None, None, None]
    assert [entry["citation precision"] for entry in table] == [1.0, 0.0, None, None, None]
    assert [entry["facts"] for entry in table] == [1.0, 0.5, None, None, None]
    assert [entry["phase correct"] for entry in table] == [1.0, 0.0, None, None, None]
    assert [entry["RR(rel=2)"] for entry in table] == [1.0, 0.5, 1.0, None, None]
    figures = summarise(table)
    assert figures["RR(rel=2)"]["value"] == pytest.approx(2.5 / 3)
    assert figures["RR(rel=2)"]["n"] == 3
    assert figures["answerable refused"]["value"] == pytest.approx(1 / 3)
    assert figures["unanswerable answered"]["value"] == 0.5
    assert figures["near-miss answered"]["value"] == 1.0
    assert figures["out-of-scope answered"]["value"] == 0.0
    # Pairs won of 3 answerable by 2 others: 0.9 both, 0.6 one and a tie, 0.2 one.
    assert figures["AUROC"]["value"] == pytest.approx(4.5 / 6)
    assert figures["AUROC"]["low"] < figures["AUROC"]["value"] < figures["AUROC"]["high"]
    assert (figures["determinism"]["value"], figures["determinism"]["n"]) == (0.8, 5)
    latency = figures["latency p95 ms"]
    assert (latency["value"], latency["low"], latency["high"]) == (pytest.approx(13.0), 5.0, 15.0)


def test_figures_of_nothing_are_no_numbers() -> None:
    figures = summarise([])
    assert all(math.isnan(figure["value"]) for figure in figures.values())
    assert all(figure["n"] == 0 for figure in figures.values())


# Comparing runs


def result(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A result.json of ten answerable questions and one that is not."""
    questions = [question(id=f"test-{number}") for number in range(10)]
    questions.append(question(id="test-10", kind="near-miss", gold=[], facts=[]))
    table = per_question(questions, rows)
    whole = {"corpus": "test", "questions": 11, "figures": summarise(table), "table": table}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def good() -> list[dict[str, Any]]:
    rows = [row(f"test-{number}") for number in range(10)]
    return [*rows, row("test-10", answered=False, probability=0.1)]


def worse() -> list[dict[str, Any]]:
    rows = good()
    rows[3] = row("test-3", ["x#1", PICKLE])
    rows[7] = row("test-7", ["x#1"])
    return rows


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evals", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_equal_runs_pass(tmp_path: Path) -> None:
    old, new = result(tmp_path / "old.json", good()), result(tmp_path / "new.json", good())
    done = python("compare", old, new)
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head == "questions: 11 in both runs, 0 in the old alone, 0 in the new alone"
    assert [line.split(":")[0] for line in lines] == list(TOLERANCE)
    assert "REGRESSED" not in done.stdout


def test_a_regression_fails_and_names_the_lost_questions(tmp_path: Path) -> None:
    old, new = result(tmp_path / "old.json", good()), result(tmp_path / "new.json", worse())
    done = python("compare", old, new)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("RR(rel=2): -0.1500"))
    assert lines[place].endswith("REGRESSED")
    assert lines[place + 1] == "  lost: test-7, test-3"


def test_differences(tmp_path: Path) -> None:
    old, new = (
        json.loads(result(tmp_path / "one.json", rows).read_text("utf-8"))["table"]
        for rows in (good(), worse())
    )
    found = {entry.measure: entry for entry in compare(old, new)}
    assert found["RR(rel=2)"].change == pytest.approx(-0.15)
    assert found["RR(rel=2)"].lost == ("test-7", "test-3")
    assert found["R(rel=2)@5"].change == pytest.approx(-0.1)
    assert found["first"].change == pytest.approx(-0.2)
    assert found["first"].regressed
    assert found["correct outcome"].change == 0.0
    assert not found["correct outcome"].regressed
    assert all(entry.low <= entry.change <= entry.high for entry in found.values())
    turned = {entry.measure: entry for entry in compare(new, old)}
    assert not any(entry.regressed for entry in turned.values())
    assert turned["RR(rel=2)"].lost == ()


@pytest.mark.parametrize(("place", "answered"), [(4, False), (10, True)])
def test_a_wrong_outcome_is_a_regression(tmp_path: Path, place: int, answered: bool) -> None:
    rows = good()
    rows[place] = row(f"test-{place}", answered=answered)
    old, new = (
        json.loads(result(tmp_path / "one.json", one).read_text("utf-8"))["table"]
        for one in (good(), rows)
    )
    found = next(entry for entry in compare(old, new) if entry.measure == "correct outcome")
    assert found.regressed
    assert found.lost == (f"test-{place}",)


def test_runs_without_a_common_question_give_no_numbers(tmp_path: Path) -> None:
    table = json.loads(result(tmp_path / "one.json", good()).read_text("utf-8"))["table"]
    others = [entry | {"id": f"other-{place}"} for place, entry in enumerate(table)]
    found = compare(table, others)
    assert found
    assert all(math.isnan(entry.change) and entry.regressed for entry in found)


def test_a_measure_without_values_is_not_compared(tmp_path: Path) -> None:
    table = json.loads(result(tmp_path / "one.json", good()).read_text("utf-8"))["table"]
    bare = [entry | {"facts": None, "phase correct": None} for entry in table]
    found = [entry.measure for entry in compare(bare, bare)]
    assert set(TOLERANCE) - set(found) == {"facts", "phase correct"}


@pytest.mark.parametrize("name", ["supported", "determinism", "citation precision", "facts"])
def test_a_worse_answer_is_a_regression(tmp_path: Path, name: str) -> None:
    table = json.loads(result(tmp_path / "one.json", good()).read_text("utf-8"))["table"]
    worse = [entry | {name: 0.5} if entry["id"] == "test-4" else entry for entry in table]
    assert [(entry.measure, entry.lost) for entry in compare(table, worse) if entry.regressed] == [
        (name, ("test-4",))
    ]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"figures": {}}'], ids=str)
def test_what_is_no_result_is_refused_in_a_sentence(
    tmp_path: Path,
    text: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, whole = tmp_path / "broken.json", result(tmp_path / "whole.json", good())
    if text is not None:
        path.write_text(text, encoding="utf-8")
    for arguments in (["report", path], ["compare", whole, path], ["compare", path, whole]):
        monkeypatch.setattr("sys.argv", ["evals", *map(str, arguments)])
        assert main() == 2
        assert capsys.readouterr().err.startswith(f"{path} is no result of a run (")


# Runs that go on where they stopped


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """The small corpus behind the hash embedder."""
    settings = Settings(corpus=SMALL, cache=tmp_path_factory.mktemp("cache"))
    corpus = load_corpus(SMALL)
    build_index(corpus, settings, embedder=HashEmbedder())
    index = open_index(corpus, settings, HashEmbedder())
    ranking = load_ranking(settings.recipe)
    with Assistant(settings, corpus, index, Retriever(index, HashEmbedder(), ranking)) as found:
        yield found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the questions that were really asked, in order."""
    found: list[str] = []
    ask = evals.run.ask

    def noted(assistant: Assistant, question: EvalQuestion) -> dict[str, Any]:
        found.append(question.id)
        return ask(assistant, question)

    monkeypatch.setattr(evals.run, "ask", noted)
    return found


FIVE = [
    question(id="test-1", question="What does EX01 say?"),
    question(id="test-2", question="How do I stop prompt injection in my chatbot?"),
    question(id="test-3", kind="follow-up", context=("EX02",), question="And why?"),
    question(id="test-4", question="Must I scan a checkpoint before loading it?"),
    question(id="test-5", kind="unknown-identifier", question="What is EX37?", gold=[], facts=[]),
]
IDS = [entry.id for entry in FIVE]


def interrupt_after(count: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def without_time(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**entry, "elapsed_ms": 0.0} for entry in rows]


def test_a_run_notes_what_came_back(asker: Assistant, asked: list[str], tmp_path: Path) -> None:
    rows = run_questions(asker, FIVE, tmp_path / "out" / "rows.jsonl")
    assert asked == IDS
    assert [entry["id"] for entry in rows] == IDS
    assert rows[0]["outcome"] == "answered"
    assert next(iter(rows[0]["ranking"])) == PICKLE
    assert PICKLE in rows[0]["statements"][0]["cited"]
    assert rows[0]["supported"] == len(rows[0]["statements"]) > 0
    assert (rows[4]["outcome"], rows[4]["statements"]) == ("abstained", [])
    assert "there is no EX37" in rows[4]["reason"]
    assert [entry["same_again"] for entry in rows] == [True] * 5
    assert [entry["source_kinds"] for entry in rows] == [["guideline"]] * 4 + [[]]
    # The follow-up is asked after what was asked before it.
    assert next(iter(rows[2]["ranking"])) == "example-guideline#EX02"
    lines = (tmp_path / "out" / "rows.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines[1:]] == rows


@pytest.mark.parametrize("torn", ["", '{"id": "test-3", "ki'], ids=["whole", "torn"])
def test_an_interrupted_run_goes_on(
    asker: Assistant, asked: list[str], tmp_path: Path, torn: str
) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run_questions(asker, FIVE, path, interrupt_after(2))
    path.write_text(path.read_text("utf-8") + torn, encoding="utf-8")
    rows = run_questions(asker, FIVE, path)
    assert asked == IDS
    again = run_questions(asker, FIVE, tmp_path / "other.jsonl")
    assert without_time(rows) == without_time(again)


@pytest.mark.parametrize("torn", ["", '{"id": "test-3", "ki'], ids=["whole", "torn"])
def test_a_run_interrupted_twice_loses_nothing(
    asker: Assistant, asked: list[str], tmp_path: Path, torn: str
) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run_questions(asker, FIVE, path, interrupt_after(2))
    path.write_text(path.read_text("utf-8") + torn, encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        run_questions(asker, FIVE, path, interrupt_after(4))
    run_questions(asker, FIVE, path)
    assert asked == IDS


def test_a_finished_run_asks_nothing(asker: Assistant, asked: list[str], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    first = run_questions(asker, FIVE, path)
    before = path.read_bytes()
    assert run_questions(asker, FIVE, path) == first
    assert path.read_bytes() == before
    assert asked == IDS


def test_rows_of_other_questions_are_not_taken_over(
    asker: Assistant, asked: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    run_questions(asker, FIVE, path)
    changed = [FIVE[0].model_copy(update={"question": "EX03"}), *FIVE[1:]]
    rows = run_questions(asker, changed, path)
    assert asked == IDS * 2
    assert next(iter(rows[0]["ranking"])) == "example-guideline#EX03"
    assert len(path.read_text("utf-8").splitlines()) == 6


@pytest.mark.parametrize(("second", "same"), [("one", True), ("another", False)])
def test_an_answer_that_differs_when_asked_again_is_noted(
    asker: Assistant, monkeypatch: pytest.MonkeyPatch, second: str, same: bool
) -> None:
    ask, notes = evals.run.ask_in_context, iter(["one", second])
    monkeypatch.setattr(
        evals.run, "ask_in_context", lambda *given: replace(ask(*given), note=next(notes))
    )
    assert evals.run.ask(asker, FIVE[0])["same_again"] is same


def test_rows_of_another_program_are_not_taken_over(
    asker: Assistant, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, code = tmp_path / "rows.jsonl", tmp_path / "code.py"
    monkeypatch.setattr(evals.run, "PROGRAM", (code,))
    for text in ("one", "one", "other"):
        code.write_text(text, encoding="utf-8")
        run_questions(asker, FIVE, path)
    assert asked == IDS * 2


def test_a_program_is_told_by_its_files_and_their_places(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    file = tmp_path / "part" / "one.py"
    file.write_text("x = 1\n", encoding="utf-8")
    before = evals.run.code_sha256(tmp_path)
    assert evals.run.code_sha256(tmp_path) == before
    moved = file.rename(tmp_path / "one.py")
    assert evals.run.code_sha256(tmp_path) != before
    moved.rename(file).write_text("x = 2\n", encoding="utf-8")
    assert evals.run.code_sha256(tmp_path) != before


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    path = write_set(tmp_path / "set.jsonl", [data()])
    monkeypatch.setattr(Assistant, "open", interrupt)
    monkeypatch.setattr("sys.argv", ["evals", "run", str(path), "--out", str(tmp_path / "out")])
    assert main() == 130
    assert "goes on where it stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "test-1"}, "the id test-1 is in two of the files"),
        (
            {"gold": [{"id": "example-guideline#EX99", "grade": 2}]},
            "test-2: the corpus has no provision example-guideline#EX99",
        ),
        ({"phase": "lunch"}, "test-2: the taxonomy has no phase lunch"),
    ],
    ids=str,
)
def test_questions_that_the_corpus_cannot_answer_for_are_refused_before_any_is_asked(
    asker: Assistant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    problem: str,
) -> None:
    paths = [write_set(tmp_path / "one.jsonl", [data()]), write_set(tmp_path / "two.jsonl", [data(id="test-2") | changes])]  # fmt: skip
    monkeypatch.setattr(Assistant, "open", lambda *_, **__: nullcontext(asker))
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["evals", "run", *map(str, paths), "--out", str(out)])
    assert main() == 2
    assert capsys.readouterr().err == f"{problem}\n"
    assert not out.exists()


# Reports


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile_table() -> list[dict[str, Any]]:
    questions = [
        question(question=HOSTILE, topic=HOSTILE),
        question(id="test-2", kind="near-miss", gold=[], facts=[], phase=None),
    ]
    return per_question(questions, [row("test-1"), row("test-2", answered=False, probability=0.1)])


def test_page_is_self_contained_and_escapes_what_it_shows() -> None:
    table = hostile_table()
    text = report.html(HOSTILE, summarise(table), table)
    page = Page()
    page.feed(text)
    assert {"table", "svg", "polyline", "title"} <= page.tags
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "base", "form"})
    names = {name for name, _ in page.attributes}
    assert names.isdisjoint({"src", "href", "xlink:href", "srcset", "onload", "onerror"})
    assert not any("//" in value or "url(" in value for _, value in page.attributes)
    assert "@import" not in text
    assert "url(" not in text
    # As title, heading, question, and topic in plot and table, it is text.
    assert page.texts.count(HOSTILE) == 5
    for key in ("kind", "phase", "source kind", "topic"):
        assert f"nDCG@10 by {key}, with 95 % intervals" in page.texts
    names = [*RANKING, "answered", *ANSWER, "Risk by coverage"]
    assert [name for name in names if name not in page.texts] == []


def test_markdown_gives_every_figure() -> None:
    table = hostile_table()
    figures = summarise(table)
    text = report.markdown(figures)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert [cells[0] for cells in rows[2:]] == list(figures)
    by_name = {cells[0]: cells[1:] for cells in rows[2:]}
    assert by_name["RR(rel=2)"] == ["1.000", "1.000 – 1.000", "1"]
    assert by_name["unanswerable answered"] == ["0.000", "0.000 – 0.000", "1"]
    assert by_name["AUROC"] == ["1.000", "1.000 – 1.000", "2"]
    assert by_name["latency p95 ms"] == ["5.0", "5.0 – 5.0", "2"]
    assert report.markdown(summarise([])).count("| – |  | 0 |") == len(summarise([]))


def test_groups_have_their_means() -> None:
    text = report.by_group(hostile_table(), "kind", ["RR(rel=2)", "answered"])
    assert text.splitlines()[2:] == [
        "| answerable | 1 | 1.000 (1.00–1.00) | 1.000 (1.00–1.00) |",
        "| near-miss | 1 | – | 0.000 (0.00–0.00) |",
    ]


def test_a_question_is_in_the_group_of_each_kind_of_source_that_answers_it() -> None:
    questions = [question(id=f"test-{number}") for number in range(4)]
    rows = [row(f"test-{number}", ["x#1"] if number else [PICKLE]) for number in range(4)]
    rows[0]["source_kinds"] = ["law"]
    text = report.by_group(per_question(questions, rows), "source kind", ["RR(rel=2)"])
    assert text.splitlines()[2:] == [
        "| guideline | 3 | 0.000 (0.00–0.00) |",
        "| law | 4 | 0.250 (0.00–0.75) |",
    ]


def test_the_program_writes_both_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = result(tmp_path / "result.json", worse())
    monkeypatch.setattr("sys.argv", ["evals", "report", str(path)])
    assert main() == 0
    written = (tmp_path / "report.md").read_text("utf-8")
    assert capsys.readouterr().out == written + "\n"
    assert "| RR(rel=2) | 0.850 |" in written
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<title>11 questions on corpus test</title>" in page
    assert page.count("<tr><td>test-") == 11


# Follow-ups


DIALOGUE = [
    question(
        id="test-1",
        kind="follow-up",
        context=("How do I stop prompt injection in my chatbot?",),
        question="what does EX01 say about it?",
    ),
    question(
        id="test-2",
        kind="follow-up",
        context=("Is it safe to load a pickle checkpoint from the internet?",),
        question="and who says so?",
    ),
    question(
        id="test-3",
        context=("How do I stop prompt injection in my chatbot?",),
        question="Is it safe to load a pickle checkpoint from the internet?",
        new_topic=True,
    ),
    question(
        id="test-4",
        kind="not-covered",
        context=("What does EX01 say?",),
        question="what does that cost?",
        gold=[],
        facts=[],
    ),
]


def test_follow_ups_are_measured_in_three_ways(asker: Assistant) -> None:
    figures = follow_ups.measure(asker, DIALOGUE)
    assert list(figures) == list(follow_ups.WAYS)
    assert [figures["in the conversation"][name]["n"] for name in follow_ups.COLUMNS] == [2, 2, 2, 1, 1]  # fmt: skip
    talked, alone, joined = figures.values()
    assert talked["first"]["value"] == 1.0 > alone["first"]["value"] == 0.5
    assert talked["new topic as alone"]["value"] == alone["new topic as alone"]["value"] == 1.0
    assert joined["new topic as alone"]["value"] == 0.0
    table = follow_ups.markdown(figures).splitlines()
    assert [line.count("|") for line in table] == [7] * 5
    assert table[2].startswith("| in the conversation | 1.000 (")


def test_follow_up_figures_are_kept_only_when_asked(
    asker: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_set(tmp_path / "set.jsonl", [json.loads(entry.model_dump_json()) for entry in DIALOGUE])  # fmt: skip
    monkeypatch.setattr("evals.readme.RESULTS", tmp_path)
    monkeypatch.setattr(Assistant, "open", lambda *_: nullcontext(asker))
    for more, kept in (([], False), (["--keep"], True)):
        monkeypatch.setattr("sys.argv", ["evals", "follow-ups", str(path), *more])
        assert main() == 0
        assert (tmp_path / "follow_ups.json").exists() == kept
    found = json.loads((tmp_path / "follow_ups.json").read_text("utf-8"))
    assert (found["questions"], found["corpus"]) == (4, asker.corpus.version)
    assert set(found["figures"]) == set(follow_ups.WAYS)
