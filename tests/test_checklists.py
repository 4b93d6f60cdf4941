"""What to do in a phase: by concern, cited, verified, law apart from guidance, nothing said twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from assistant import Answer, Assistant, Checklist, QuestionError, Said, Settings

PHASES = [
    "preparation",
    "model-selection",
    "adaptation",
    "integration",
    "evaluation",
    "deployment",
    "maintenance",
]


@pytest.fixture(scope="module")
def lists(assistant: Assistant) -> dict[str, Checklist]:
    """The checklist of each phase."""
    return {phase: assistant.checklist(phase) for phase in PHASES}


def test_each_item_is_a_quote_of_a_provision_of_its_phase_and_concern(
    assistant: Assistant, lists: dict[str, Checklist]
) -> None:
    for phase, found in lists.items():
        assert len(found.items) > 50
        by_number = {citation.number: citation for citation in found.citations}
        assert list(by_number) == list(range(1, len(by_number) + 1))
        for item in found.items:
            first = by_number[item.citations[0]]
            document = assistant.document(first.source_id)
            assert document.text[first.start : first.stop] == first.quote == item.text
            (provision,) = assistant.provision(f"{first.source_id}#{first.locator}")
            assert phase in provision.phases
            assert item.concern in provision.concerns


def test_law_and_guidance_are_kept_apart(lists: dict[str, Checklist]) -> None:
    for found in lists.values():
        by_number = {citation.number: citation for citation in found.citations}
        for item in found.items:
            bindings = {by_number[number].binding for number in item.citations}
            assert bindings == {"binding" if item.role == "requirement" else "voluntary"}
        assert {item.role for item in found.items} == {"requirement", "action"}


def test_a_requirement_obliges_those_who_build(lists: dict[str, Checklist]) -> None:
    texts = [i.text for found in lists.values() for i in found.items if i.role == "requirement"]
    assert all("must" in text or "shall" in text or "prohibited" in text for text in texts)
    assert not any("Commission must" in text for text in texts)


def test_nothing_is_said_twice_and_the_order_is_the_taxonomys(
    assistant: Assistant, lists: dict[str, Checklist]
) -> None:
    order = list(assistant.corpus.taxonomy.concerns)
    for found in lists.values():
        texts = [item.text for item in found.items]
        assert len(set(texts)) == len(texts)
        places = [order.index(item.concern) for item in found.items]
        assert places == sorted(places)
        assert found.left_out > 0
        assert found.withheld == 0


def test_what_comes_before_and_after(lists: dict[str, Checklist]) -> None:
    assert lists["adaptation"].before == ("preparation", "model-selection")
    assert lists["adaptation"].after == ("integration", "evaluation", "deployment", "maintenance")
    assert (lists["preparation"].before, lists["maintenance"].after) == ((), ())


def test_it_can_be_narrowed(assistant: Assistant) -> None:
    found = assistant.checklist("integration", ["prompt-injection", "privacy"], per_concern=2)
    assert {item.concern for item in found.items} == {"prompt-injection", "privacy"}
    actions = [i for i in found.items if i.role == "action" and i.concern == "privacy"]
    assert len(actions) == 2
    only = assistant.checklist("integration", "privacy", source="eu-gdpr")
    assert {citation.source_id for citation in only.citations} == {"eu-gdpr"}
    assert assistant.checklist("integration", "privacy", kind="study").items == ()


def test_it_is_the_same_each_time_and_can_be_written_as_json(assistant: Assistant) -> None:
    first, second = (assistant.checklist("evaluation", "bias") for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first.to_dict()))["items"][0]["concern"] == "bias"
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.phase = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("phase", "concerns", "per_concern", "message"),
    [
        ("shipping", None, 4, "Unknown phase 'shipping'. Known: preparation, "),
        ("", None, 4, "Unknown phase ''"),
        ("deployment", "joy", 4, "Unknown concern 'joy'. Known: privacy, "),
        ("deployment", None, 0, "per_concern must be at least 1, not 0."),
    ],
)
def test_what_cannot_be_listed(
    assistant: Assistant, phase: str, concerns: str | None, per_concern: int, message: str
) -> None:
    with pytest.raises(QuestionError, match=message.replace(".", r"\.")):
        assistant.checklist(phase, concerns, per_concern=per_concern)


def test_an_item_whose_source_changed_is_withheld(
    small_settings: Settings, small_folder: Path
) -> None:
    with Assistant.open(small_settings) as opened:
        whole = opened.checklist("model-selection")
        assert whole.items
        for path in (small_folder / "sources").iterdir():
            path.write_text(path.read_text("utf-8") + "\n", encoding="utf-8")
        changed = opened.checklist("model-selection")
    assert (changed.items, changed.citations) == ((), ())
    assert changed.withheld >= len(whole.items)


def test_a_stream_says_each_statement_with_its_new_citations_then_the_whole(
    assistant: Assistant,
) -> None:
    question = "May I load a .bin checkpoint I found on a model hub?"
    *said, answer = assistant.stream(question, phase="model-selection")
    assert answer == assistant.ask(question, phase="model-selection")
    assert isinstance(answer, Answer)
    parts = [part for part in said if isinstance(part, Said)]
    assert tuple(part.statement for part in parts) == answer.statements
    assert tuple(c for part in parts for c in part.citations) == answer.citations
    (abstained,) = assistant.stream("What will the weather be in Paris tomorrow?")
    assert isinstance(abstained, Answer)
    assert abstained.outcome == "abstained"
    with pytest.raises(QuestionError):
        assistant.stream("")
