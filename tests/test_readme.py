"""What README.md says is what the program does and what was measured."""

from __future__ import annotations

import json
import re

import pytest

from assistant import Assistant
from assistant.embedding import file_sha256
from evals import readme
from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text("utf-8")


def test_generated_parts_are_up_to_date(assistant: Assistant) -> None:
    """If this fails: python -m evals readme"""
    assert readme.render(TEXT, readme.blocks()) == TEXT


def test_the_real_answer_is_cited() -> None:
    assert re.search(r"make ask Q=.*?\[1\].*?Sources", TEXT, re.DOTALL)


@pytest.mark.parametrize("name", ["held_out", "fresh", "fresh_model", "follow_ups"])
def test_figures_belong_to_this_corpus_and_ranking(assistant: Assistant, name: str) -> None:
    """If this fails: make evals, or python -m evals follow-ups --keep"""
    kept = json.loads((readme.RESULTS / f"{name}.json").read_text("utf-8"))
    assert kept["corpus"] == assistant.corpus.version
    assert kept["ranking_sha256"] == file_sha256(assistant.settings.recipe / "ranking.json")


def test_the_coverage_image_is_up_to_date(assistant: Assistant) -> None:
    """If this fails: python -m evals readme"""
    from assistant.interfaces.heatmap import coverage_svg

    taxonomy = assistant.corpus.taxonomy
    terms = (*taxonomy.phases.values(), *taxonomy.concerns.values())
    expected = coverage_svg(assistant.coverage(), {term.id: term.title for term in terms})
    assert (ROOT / "docs" / "coverage.svg").read_text("utf-8") == expected


def test_python_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
    assert "answer" in capsys.readouterr().out


def test_the_lock_is_that_of_this_corpus(assistant: Assistant) -> None:
    """If this fails: python -m evals lock"""
    from evals.__main__ import locked

    recipe = assistant.settings.recipe
    assert json.loads((recipe / "manifest.json").read_text("utf-8")) == locked(
        assistant.corpus, recipe
    )
