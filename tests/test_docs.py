"""The pages for plugin authors: their examples run, print what is shown, and leave nothing out."""

from __future__ import annotations

import re

import pytest

import assistant
from assistant import AssistantError
from tests.conftest import ROOT

DOCS = ROOT / "docs"
EXAMPLE = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.parametrize("name", ["api.md", "plugins.md"])
def test_the_examples_run_in_order_and_print_what_is_shown(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DOCS / name).read_text("utf-8")
    examples = list(EXAMPLE.finditer(text))
    assert len(examples) == text.count("```python") > 0
    space: dict[str, object] = {"__name__": "example"}
    for example in examples:
        code, shown = example.groups(default="")
        line = text.count("\n", 0, example.start(1))
        exec(compile("\n" * line + code, name, "exec"), space)
        assert capsys.readouterr().out == shown, f"{name}:{line}"


def test_the_page_names_everything_public() -> None:
    text = (DOCS / "api.md").read_text("utf-8")
    inline = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    code = set(re.findall(r"\w+", " ".join([*inline, *(m[1] for m in EXAMPLE.finditer(text))])))
    assert set(assistant.__all__) <= code
    methods = {name for name in vars(assistant.Assistant) if not name.startswith("_")}
    assert methods <= code


def test_the_table_of_errors_is_complete() -> None:
    table = (DOCS / "api.md").read_text("utf-8").partition("## Errors")[2].partition("\n## ")[0]
    errors = {
        name
        for name in assistant.__all__
        if isinstance(kind := getattr(assistant, name), type) and issubclass(kind, AssistantError)
    }
    assert errors <= set(re.findall(r"`(\w+)`", table))


@pytest.mark.parametrize("name", ["api.md", "plugins.md"])
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (DOCS / name).read_text("utf-8"))
    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []
