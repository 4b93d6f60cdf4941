"""Results cut to a size: what is kept is whole, in order and cited, and what is cut is counted."""

from __future__ import annotations

import pytest

from assistant import Assistant
from assistant.interfaces.views import (
    as_json,
    cut_answer,
    cut_checklist,
    first_that_fit,
    found_provision,
    shown_provision,
)
from tests.test_api import CHECKPOINT


def test_an_answer_that_fits_is_left_alone(assistant: Assistant) -> None:
    answer = assistant.ask(CHECKPOINT)
    assert cut_answer(answer, 100_000) == (answer, 0)


@pytest.mark.parametrize("chars", [500, 2_000, 4_000])
def test_an_answer_loses_its_last_statements_and_their_citations(
    assistant: Assistant, chars: int
) -> None:
    answer = assistant.ask(CHECKPOINT)
    shorter, cut = cut_answer(answer, chars)
    assert len(as_json(shorter)) <= max(chars, 500)
    kept = len(answer.statements) - cut
    assert cut > 0 and shorter.statements == answer.statements[:kept]
    numbers = {number for statement in shorter.statements for number in statement.citations}
    assert [c.number for c in shorter.citations] == sorted(numbers)
    assert all(citation in answer.citations for citation in shorter.citations)


def test_a_longer_size_keeps_more(assistant: Assistant) -> None:
    answer = assistant.ask(CHECKPOINT)
    kept = [len(cut_answer(answer, chars)[0].statements) for chars in range(500, 20_000, 500)]
    assert kept == sorted(kept) and kept[0] < kept[-1] == len(answer.statements)


def test_a_checklist_keeps_the_first_items_of_each_concern(assistant: Assistant) -> None:
    whole = assistant.checklist("integration")
    shorter, cut = cut_checklist(whole, 40_000)
    assert len(as_json(shorter)) <= 40_000 and cut == len(whole.items) - len(shorter.items) > 0
    assert shorter.left_out == whole.left_out + cut
    for concern in {item.concern for item in whole.items}:
        before = [item for item in whole.items if item.concern == concern]
        after = [item for item in shorter.items if item.concern == concern]
        assert after == before[: len(after)] and after
    assert [item for item in whole.items if item in shorter.items] == list(shorter.items)
    numbers = {number for item in shorter.items for number in item.citations}
    assert {citation.number for citation in shorter.citations} == numbers


def test_rows_that_fit() -> None:
    rows = [{"a": "x" * 10}] * 5
    assert first_that_fit(rows, 1_000) == tuple(rows)
    assert len(as_json(first_that_fit(rows, 50))) <= 50 and len(first_that_fit(rows, 50)) == 2
    assert first_that_fit(rows, 5) == ()


def test_a_provision_as_it_is_shown(assistant: Assistant) -> None:
    (hit,) = assistant.search("LLM05", 1)
    found, shown = found_provision(hit), shown_provision(hit.provision, assistant)
    assert found.id == shown.id == hit.provision.id and shown.source == hit.document.source
    assert shown.text in hit.document.text and shown.related == assistant.related(hit.provision)
    assert all(hit.document.quote(segment) in shown.text for segment in hit.provision.segments)
