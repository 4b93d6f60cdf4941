"""Follow-ups are read as questions on their own; new topics are left as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from assistant import Answer, Assistant, QuestionError
from assistant.conversation import HISTORY, STANDS, Reading, read_in_context
from assistant.documents import Corpus
from assistant.questions import MAX_CHARS, content_words
from assistant.types import Citation, Outcome, Role, Statement, Topic
from evals.__main__ import QUESTIONS
from evals.questions import EvalQuestion, load_questions
from evals.run import ask_in_context

PICKLE = "May I load a pickle checkpoint from the internet?"
BOT = "Do we have to tell users that they talk to a bot?"
CITED = ("example-guideline#EX01", "example-guideline#EX01", "example-act#Art. 2")
DEV = load_questions(QUESTIONS / "follow_ups_dev.jsonl")


def citation(number: int, provision: str) -> Citation:
    source, _, locator = provision.partition("#")
    return Citation(
        number=number,
        source_id=source,
        title="",
        publisher="",
        kind="",
        binding="",
        jurisdiction="",
        version="",
        date="",
        in_force_from=None,
        status="current",
        locator=locator,
        heading="",
        url="",
        page=None,
        quote="",
        start=0,
        stop=0,
        document_sha256="",
    )


def answered(
    question: str = PICKLE,
    read_as: str = "",
    cited: Sequence[str] = CITED,
    roles: Sequence[Role] = ("answer", "action", "requirement"),
    nearest: Sequence[Topic] = (),
    phases: tuple[str, ...] = ("model-selection",),
) -> Answer:
    """An answer that cites each provision once, one statement each."""
    outcome: Outcome = "answered" if cited else "abstained"
    return Answer(
        question=question,
        read_as=read_as or question,
        outcome=outcome,
        reason="",
        nearest=tuple(nearest),
        phases=phases,
        statements=tuple(
            Statement("…", role, (number,))
            for number, role in zip(range(1, len(cited) + 1), roles, strict=False)
        ),
        citations=tuple(citation(number, one) for number, one in enumerate(cited, start=1)),
        withheld=0,
        corpus_version="",
        timings_ms={},
        noticed=(),
        model=None,
        note="",
        read_by=None,
    )


def read(corpus: Corpus, question: str, *history: Answer, covered: bool = True) -> Reading:
    return read_in_context(question, history or [answered()], corpus, lambda text: covered)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("what about GGUF?", f"what about GGUF? – {PICKLE}"),
        (
            "does that hold for servers too?",
            f"does that hold for servers too? – {PICKLE}",
        ),
        ("why?", f"why? – {PICKLE}"),
        ("who says so", f"who says so – {PICKLE}"),
        ("what does NIST say?", f"what does NIST say? – {PICKLE}"),
        ("what does the law say?", f"According to the law: {PICKLE}"),
        ("Is that required or just advice?", f"According to the law: {PICKLE}"),
        ("any incidents?", f"In incidents: {PICKLE}"),
        ("has this ever happened?", f"In incidents: {PICKLE}"),
        ("are there studies on that?", f"In studies: {PICKLE}"),
        ("and in the US?", f"In the US: {PICKLE}"),
        ("and in the EU for servers?", f"In the EU: and  for servers? – {PICKLE}"),
        ("what does that mean for us?", f"what does that mean for us? – {PICKLE}"),
    ],
)
def test_a_follow_up_is_read_with_its_topic(small_corpus: Corpus, question: str, text: str) -> None:
    found = read(small_corpus, question)
    assert " ".join(found.text.split()) == " ".join(text.split())
    assert found.phases == ("model-selection",)


@pytest.mark.parametrize(
    ("question", "phase"),
    [
        ("and for deployment?", "deployment"),
        ("what about after the release?", "maintenance"),
        ("and before launch?", "evaluation"),
        ("does that hold for LoRA adapters too?", "adaptation"),
    ],
)
def test_a_follow_up_can_turn_to_another_phase(
    small_corpus: Corpus, question: str, phase: str
) -> None:
    assert read(small_corpus, question) == Reading(f"{question} – {PICKLE}", (phase,))


@pytest.mark.parametrize(
    ("question", "provision"),
    [
        ("the second one, more detail", CITED[1]),
        ("more on [3]", CITED[2]),
        ("explain number 2", CITED[1]),
        ("where does the first one come from?", CITED[0]),
        ("the last one?", CITED[2]),
        ("tell me more about the first requirement", CITED[2]),
        ("more details please", CITED[0]),
    ],
)
def test_a_place_or_number_names_the_provision_cited_there(
    small_corpus: Corpus, question: str, provision: str
) -> None:
    assert read(small_corpus, question) == Reading(f"What does {provision} say?")


@pytest.mark.parametrize("question", ["more on [4]", "the fourth one", "more on [0]"])
def test_a_place_that_the_answer_lacks_names_nothing(small_corpus: Corpus, question: str) -> None:
    assert read(small_corpus, question).text.endswith(PICKLE)


def test_numbers_are_of_the_latest_citations_and_places_of_the_last_answer(
    small_corpus: Corpus,
) -> None:
    topic = Topic("?", "example-guideline", "EX03", "")
    history = (answered(), answered("what does the law say?", f"According to the law: {PICKLE}", (), nearest=[topic]))  # fmt: skip
    assert CITED[2] in read(small_corpus, "more on [3]", *history).text
    assert "example-guideline#EX03" in read(small_corpus, "the first one", *history).text


@pytest.mark.parametrize(
    "question",
    [
        BOT,
        "Is it safe to expose Ollama to the internet?",
        "Our agent deleted the production database. How do we prevent this?",
        "We have RAG and it still hallucinates, what else can be done?",
        "What does EX02 say?",
        "Does EX02 cover that?",
        "EX02 point 1",
        "Next question. How do I find drift?",
        "how do I sign a model?",
        "what is the first step to secure our support chatbot?",
        "How do we decide which actions the assistant may take on its own?",
        "Which limits are there for agents that run in production?",
    ],
)
def test_a_new_topic_is_left_as_it_is(small_corpus: Corpus, question: str) -> None:
    assert read(small_corpus, question) == Reading(question)


def test_two_telling_words_need_coverage_to_stand_alone(small_corpus: Corpus) -> None:
    assert read(small_corpus, "how do I sign a model?", covered=False).text.endswith(PICKLE)
    assert read(small_corpus, "would pinning the commit help?").text.endswith(PICKLE)


def test_what_no_source_can_know_stays_unanswerable(small_corpus: Corpus) -> None:
    question = "how much does it cost?"
    assert read(small_corpus, question, covered=False) == Reading(question)
    after = (answered(), answered(question, cited=()))
    assert read(small_corpus, "and why?", *after).text == f"and why? – {PICKLE}"


def test_an_example_is_an_incident_only_where_there_are_some(small_corpus: Corpus) -> None:
    question = "give me an example"
    assert read(small_corpus, question).text == f"In incidents: {PICKLE}"
    assert read(small_corpus, question, covered=False).text == f"{question} – {PICKLE}"


def test_the_last_follow_up_is_part_of_the_topic_and_its_scope_is_not(
    small_corpus: Corpus,
) -> None:
    added = answered("and for servers?", f"and for servers? – {PICKLE}")
    limited = answered("any incidents?", f"In incidents: {PICKLE}")
    question = "how often?"
    assert read(small_corpus, question, answered(), added).text == f"{question} – and for servers? – {PICKLE}"  # fmt: skip
    assert read(small_corpus, question, answered(), limited).text == f"{question} – {PICKLE}"


def test_what_a_model_rewrote_is_the_topic_unless_it_names_a_provision(
    small_corpus: Corpus,
) -> None:
    rewritten = "In incidents: Which checkpoints ran code on servers?"
    second = replace(answered("and on servers?", rewritten), read_by="test:model")
    third = replace(answered("the first one", f"What does {CITED[0]} say?"), read_by="test:model")
    text = f"how? – {rewritten.removeprefix('In incidents: ')}"
    assert read(small_corpus, "how?", answered(), second).text == text
    assert read(small_corpus, "how?", answered(), second, third).text == text


def test_history_is_bounded_and_texts_too(small_corpus: Corpus) -> None:
    why = answered("why?", f"why? – {BOT}")
    forgotten = read(small_corpus, "how?", answered(), *[why] * HISTORY)
    assert PICKLE not in forgotten.text
    assert PICKLE in read(small_corpus, "how?", answered(), *[why] * (HISTORY - 1)).text
    long = answered("checkpoint " * 180)
    for question in ("what about GGUF?", "what does the law say?", "give me an example"):
        assert len(read(small_corpus, question, long).text) <= MAX_CHARS


def test_without_history_nothing_is_read_into_a_question(small_corpus: Corpus) -> None:
    assert read_in_context("why?", (), small_corpus, lambda text: True) == Reading("why?")
    with pytest.raises(QuestionError):
        read(small_corpus, " ")


# With the real corpus


@pytest.mark.parametrize("entry", [entry for entry in DEV if entry.new_topic], ids=lambda e: e.id)
def test_a_new_topic_is_answered_as_if_asked_alone(
    assistant: Assistant, entry: EvalQuestion
) -> None:
    assert ask_in_context(assistant, entry) == assistant.ask(entry.question)


def test_a_follow_up_is_answered_as_its_reading_is(assistant: Assistant) -> None:
    follow_ups = [entry for entry in DEV if entry.kind == "follow-up"]
    for entry in follow_ups:
        answer = ask_in_context(assistant, entry)
        again = assistant.ask(answer.read_as, phase=answer.phases)
        assert answer.question == entry.question != answer.read_as
        assert (again.statements, again.citations) == (answer.statements, answer.citations)
        assert (again.outcome, again.phases) == (answer.outcome, answer.phases)
        for cited in answer.citations:
            text = assistant.document(cited.source_id).text
            assert text[cited.start : cited.stop] == cited.quote


def test_questions_of_their_own_are_left_alone_after_another_topic(assistant: Assistant) -> None:
    history = [assistant.ask("May I load a .bin checkpoint I found on a model hub?")]
    alone = {
        entry.id: entry.question
        for entry in load_questions(QUESTIONS / "dev.jsonl")
        if not entry.context and len(content_words(entry.question)) >= STANDS
    }

    def covers(text: str) -> bool:
        confidence = assistant.confidence(text)
        return confidence.probability >= confidence.threshold

    read = {
        id: read_in_context(text, history, assistant.corpus, covers).text
        for id, text in alone.items()
    }
    misread = [id for id, text in alone.items() if read[id] != text]
    assert misread == ["devb-151", "devx-157", "devy-114", "devz-069"], (
        "as docs/decisions/0009 says"
    )


def test_a_limited_follow_up_cites_nothing_else(assistant: Assistant) -> None:
    history = [assistant.ask("Is it fine if users think our bot is a person?")]
    law = assistant.ask("what does the law say?", history=history)
    assert {citation.kind for citation in law.citations} == {"law"}
    nist = assistant.ask("and NIST?", history=history)
    assert {citation.jurisdiction for citation in nist.citations} == {"US"}
    pin = [assistant.ask("How do I pin a model revision on the Hub?")]
    none = assistant.ask("what does the law say?", history=pin)
    assert none.outcome == "abstained"
    assert none.reason.startswith("Not covered: limited to the law,")


def test_what_grows_when_composed_is_no_trouble_in_a_conversation(assistant: Assistant) -> None:
    """U+FDFA is one character and, composed, eighteen."""
    history = [assistant.ask("\ufdfa" * 300)]
    for question in ("why?", "give me an example", "how much \ufdfa" * 150, "the first one"):
        history.append(assistant.ask(question, history=history))
    assert len(history) == 5


def test_a_stream_takes_a_history_too(assistant: Assistant) -> None:
    history = [assistant.ask("Is it fine if users think our bot is a person?")]
    *_, last = assistant.stream("what does the law say?", history=history)
    assert last == assistant.ask("what does the law say?", history=history)
