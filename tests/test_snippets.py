"""The workbench for questions that carry code: its sets are whole, its figures are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant import Assistant
from evals.questions import QuestionSetError
from evals.snippets import load_snippets, markdown, run_snippets
from tests.conftest import ROOT

FOLDER = ROOT / "evals" / "code"


def test_the_sets_name_signs_and_provisions_that_exist(assistant: Assistant) -> None:
    known = {sign.id for sign in assistant.corpus.code_signs.signs}
    snippets = [entry for path in sorted(FOLDER.glob("*.jsonl")) for entry in load_snippets(path)]
    assert len(snippets) == len({entry.id for entry in snippets}) >= 40
    for snippet in snippets:
        assert known.issuperset(snippet.signs), snippet.id
        assert assistant.corpus.by_id.keys() >= {gold.id for gold in snippet.gold}, snippet.id


def test_figures_compare_with_the_question_alone(assistant: Assistant) -> None:
    snippets = load_snippets(FOLDER / "dev.jsonl")
    loader = next(entry for entry in snippets if "torch-load-unsafe" in entry.signs)
    loader = loader.model_copy(update={"question": "is this ok?"})
    innocent = next(entry for entry in snippets if entry.kind == "innocent")
    figures = run_snippets(assistant, [loader, innocent])["figures"]
    assert figures["signs found"]["value"] == 1 and figures["innocent code noticed"]["value"] == 0
    assert (figures["top 10"]["value"], figures["top 10"]["alone"]) == (1, 0)
    assert figures["signs found"]["n"] == len(loader.signs)
    assert "| top 10 | 1.00 | 1.00 – 1.00 | 0.00 | 1 |" in markdown(figures)
    blind = loader.model_copy(update={"signs": ("gguf-load",)})
    found = run_snippets(assistant, [blind, innocent])["figures"]
    assert found["signs found"]["value"] == 0 and found["seen beyond the expected"]["value"] == 1


def test_a_broken_set_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text('{"id": "code-dev-01"}\n', encoding="utf-8")
    with pytest.raises(QuestionSetError, match=r"set\.jsonl:1: "):
        load_snippets(path)
