"""The checker of model answers: one thing wrong at a time, then the labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from assistant import Assistant
from assistant.checking import FITTED, Thresholds, check, stem
from assistant.documents import Corpus
from evals.checker import (
    MECHANICAL,
    PARAPHRASED,
    SUPPORTED,
    figures,
    fit,
    load_pairs,
    mechanical,
    passed,
    remembering,
)
from tests.conftest import HashEmbedder

QUOTE = (
    "In the EU, a controller must notify a personal data breach to the supervisory authority within "
    "72 hours of 2 August 2026 under Art. 33(1), unless a risk to people is unlikely."
)
NAMES = ("Art. 33(1)", "GDPR", "European Union")


def verdict(sentence: str, quotes: Sequence[str] = (QUOTE,), **thresholds: float) -> str | None:
    embed = HashEmbedder().embed
    return check(
        sentence, quotes, NAMES, embed, Thresholds(**({"sentence": 0.1} | thresholds))
    ).fault


def test_a_whole_quote_passes() -> None:
    assert verdict(QUOTE) is None


def test_a_part_in_other_order_passes() -> None:
    said = "Within 72 hours, a controller must notify the supervisory authority of a data breach."
    assert verdict(said) is None


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("72 hours", "48 hours", "value"),
        ("72 hours", "72 days", "value"),
        ("2 August 2026", "3 August 2026", "value"),
        ("2 August 2026", "2 August 2025", "value"),
        ("2 August 2026", "2026-08-03", "value"),
        ("Art. 33(1)", "Art. 33(2)", "value"),
        ("Art. 33(1)", "`--report-breach`", "value"),
        ("In the EU", "In the US and the EU", "name"),
        ("within", "only within", "quantity"),
        ("must notify", "must not notify", "negation"),
        (
            ", unless a risk to people is unlikely",
            ", though risk to people is unlikely",
            "negation",
        ),
        ("must", "should", "obligation"),
        ("must", "may", "obligation"),
        ("supervisory authority", "auditor", "actor"),
        ("personal data breach", "personal data theft", "support"),
        ("unlikely.", "unlikely, and publish a report about its cause.", "support"),
    ],
)
def test_one_thing_wrong_fails(old: str, new: str, fault: str) -> None:
    assert old in QUOTE
    assert verdict(QUOTE.replace(old, new)) == fault


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        (
            "See [this page](https://example.org/a) on how a controller must notify a breach.",
            "form",
        ),
        ("![breach](x) A controller must notify a personal data breach.", "form"),
        ("A controller must <b>notify</b> a personal data breach.", "form"),
        ("Yes.", "form"),
        ("A controller must notify " + "a personal data breach " * 30, "form"),
    ],
)
def test_what_is_no_plain_sentence_fails(sentence: str, fault: str) -> None:
    assert verdict(sentence) == fault


def test_a_month_is_no_permission() -> None:
    assert verdict("In May 2024 it failed twice.", ["It failed twice in May 2024."]) is None


def test_the_same_date_in_another_form_passes() -> None:
    quote = ["The rules on logs apply from 2 August 2026."]
    assert verdict("The rules on logs apply from 2026-08-02.", quote) is None


def test_numbers_compare_whatever_their_form() -> None:
    quote = ["A breach can cost up to EUR 35 000 000 or seven items."]
    assert verdict("A breach can cost up to EUR 35,000,000 or 7 items.", quote) is None


def test_exchanged_numbers_fail() -> None:
    quote = ["The study sorted posts into 32 issues and 24 solutions."]
    assert verdict("The study sorted posts into 24 issues and 32 solutions.", quote) == "value"
    quote = ["Report critical incidents within 4 hours, high ones within 24 hours."]
    said = "Report critical incidents within 24 hours, high ones within 4 hours."
    assert verdict(said, quote) == "exchange"


def test_who_does_what_to_whom() -> None:
    quote = ["An attacker impersonates an organisation on a public hub."]
    assert verdict("An organisation impersonates an attacker on a public hub.", quote) == "actor"


@pytest.mark.parametrize(
    ("quote", "said"),
    [
        ("The author signs each release of the model.", "The authority signs each release of the model."),
        ("The authority signs each release of the model.", "The author signs each release of the model."),
        ("An authorised tool may read the logs of a run.", "An authority may read the logs of a run tool."),
        ("A statement names the limits of the system.", "A state names the limits of the system."),
        ("Terms of employment name the limits of use.", "Terms of an employee name the limits of use."),
        ("Teams organise a review of each new model.", "Teams of an organisation review each new model."),
        ("The record holds what was stated of a risk.", "The record of the state holds what a risk was."),
    ],
)  # fmt: skip
def test_an_actor_is_not_another_word_with_the_same_beginning(quote: str, said: str) -> None:
    assert verdict(said, [quote]) == "actor"
    assert verdict(quote.replace(" of ", " about "), [quote]) is None


def test_actors_compare_whatever_their_number_and_spelling() -> None:
    quote = ["An organization reports breaches to the supervisory authorities."]
    said = "Organisations report breaches to a supervisory authority."
    assert verdict(said, quote) is None


@pytest.mark.parametrize(
    ("quote", "said", "fault"),
    [
        ("Avoid storing raw prompts in logs.", "Store raw prompts in logs.", "negation"),
        ("The model fails to refuse such prompts.", "The model refuses such prompts.", "negation"),
        ("The model lacks a filter for such prompts.", "The model has a filter for such prompts.", "negation"),
        ("Only the provider may change the label.", "The provider may change the label.", "quantity"),
        ("Some of the models leaked their prompts.", "The models leaked their prompts.", "quantity"),
        ("Keep logs for at least 6 months in all.", "Keep logs for 6 months in all.", "quantity"),
        ("A fine may be up to EUR 35 000 000 each.", "A fine may be EUR 35 000 000 each.", "quantity"),
        ("The bot reportedly told users to wait.", "The bot told users to wait.", "quantity"),
        ("Assess a high-risk system anew each year.", "Assess a system anew each year.", "quantity"),
        ("If you modify it substantially, assess it anew.", "If you modify it, assess it anew.", "quantity"),
        ("It ran at 5 degrees for three runs.", "It ran at -5 degrees for three runs.", "value"),
        ("It ran at −5 degrees for three runs.", "It ran at 5 degrees for three runs.", "value"),
        ("It flagged two-thirds of the claims wrongly.", "It flagged four-fifths of the claims wrongly.", "value"),
        ("The lawsuits took years in court.", "The lawsuits took months in court.", "value"),
        ("Nine states asked five companies to stop.", "Five states asked nine companies to stop.", "value"),
        ("It told nine states, and five more states wrote.", "It told five states, and more states wrote.", "exchange"),
        ("Correct inaccurate data in the register.", "Correct accurate data in the register.", "opposite"),
        ("Log access by unauthorised users of a tool.", "Log access by authorised users of a tool.", "opposite"),
    ],
)  # fmt: skip
def test_what_limits_or_turns_a_sentence_is_not_left_out(quote: str, said: str, fault: str) -> None:
    assert verdict(said, [quote], word=0.0, covered=0.0) == fault


def test_a_number_that_is_named_twice_may_lose_the_limit_of_the_other() -> None:
    quote = ["Keep logs for at least 3 years, and the system's life plus 3 years of records."]
    assert verdict("Keep the records for the system's life plus 3 years.", quote) is None


def test_a_ban_may_be_said_as_advice_against() -> None:
    quote = ["Do not load a pickled file from a source you do not trust."]
    assert verdict("Avoid loading a pickled file from a source you do not trust.", quote) is None


@pytest.mark.parametrize("sign", ["\u202e", "\u200b", "\x00", "\x1b", "\ud83d", "\ufffd"])
def test_what_cannot_be_seen_is_not_shown(sign: str) -> None:
    assert verdict(f"{sign}{QUOTE}") == "form"
    assert verdict(QUOTE.replace("72", f"7{sign}2")) == "form"


def test_a_soft_hyphen_of_the_source_may_be_copied() -> None:
    quote = "A controller must notify a data\u00adbase breach."
    assert verdict(quote, [quote]) is None


def test_opposites_fail() -> None:
    quote = ["Keep the cache private and delete old files."]
    assert verdict("Keep the cache public and delete old files.", quote) == "opposite"


def test_advice_may_stand_for_an_imperative() -> None:
    quote = ["Delete old files from the cache."]
    assert verdict("You should delete old files from the cache.", quote) is None
    assert verdict("You must delete old files from the cache.", quote) == "obligation"


def test_what_a_passage_reports_is_not_said_as_if_it_were_so() -> None:
    quote = ["Attackers claim that the model is safe for every patient."]
    assert verdict("The model is safe for every patient.", quote) == "report"
    assert verdict("Attackers claim that the model is safe for every patient.", quote) is None
    assert (
        verdict("Attackers may claim the model is safe for every patient.", quote) == "obligation"
    )


def test_an_articles_number_is_no_amount() -> None:
    quote = ["A controller must notify a breach within some hours."]
    assert verdict("Under Art. 33(1) a controller must notify a breach.", quote) is None
    said = "A controller must notify a breach within some 33(1) hours."
    assert verdict(said, quote) == "value"


def test_names_of_the_source_may_be_used() -> None:
    quote = ["A controller must notify a breach."]
    assert verdict("Under the GDPR, a controller must notify a breach.", quote) is None


def test_the_reason_names_what_is_wrong() -> None:
    found = check(QUOTE.replace("72", "48"), [QUOTE], (), HashEmbedder().embed)
    assert not found.passed
    assert "'48'" in found.reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("approves", "approval"), ("policies", "policy"), ("checked", "checking"),
        ("recommendation", "recommends"), ("analysing", "analysis"), ("organize", "organise"),
    ],
)  # fmt: skip
def test_forms_of_a_word_are_one(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("provider", "provide"), ("deployer", "deploy"), ("trusted", "untrusted"), ("LLM01", "LLM02"),
        ("authority", "author"), ("authorised", "author"), ("authorised", "authority"),
        ("statement", "state"), ("fines", "final"), ("generated", "general"), ("party", "partial"),
        ("integrity", "integration"), ("appeal", "apply"), ("imposed", "impossible"),
        ("importance", "import"), ("comply", "compatible"), ("missing", "mission"),
        ("designated", "design"), ("notified", "noted"), ("publication", "public"),
    ],
)  # fmt: skip
def test_other_words_are_not(one: str, other: str) -> None:
    assert stem(one) != stem(other)


@pytest.mark.parametrize("name", MECHANICAL)
def test_alterations_alter(name: str) -> None:
    text = "A tool `x.pickle` must not load 3 files and should keep 12."
    assert MECHANICAL[name](text) != text or name == "negation added"


def test_every_corpus_sentence_bears_itself_and_none_of_its_alterations(
    small_corpus: Corpus,
) -> None:
    found = mechanical(small_corpus)
    whole, of = found.pop("unaltered")
    assert whole == of > 10
    assert all(through == 0 < made for through, made in found.values())


def test_pairs_are_whole(assistant: Assistant) -> None:
    pairs = load_pairs()
    assert len(pairs) >= 300
    assert len({pair.id for pair in pairs}) == len(pairs)
    by_split = {
        split: {pair.provision for pair in pairs if pair.split == split}
        for split in ("dev", "held-out")
    }
    assert not by_split["dev"] & by_split["held-out"]
    for pair in pairs:
        provision = assistant.corpus.by_id[pair.provision]
        document = assistant.corpus.by_source[provision.source_id]
        known = {document.quote(segment) for segment in provision.segments}
        assert set(pair.quotes) <= known, pair.id


def test_no_exact_fault_passes_and_few_others(assistant: Assistant) -> None:
    embed = remembering(assistant._retriever.embedder)
    assert fit(embed) == FITTED
    found = figures(passed(load_pairs("held-out"), embed))
    exact = {name: count for name, (count, _) in found["passed"].items() if name not in PARAPHRASED}
    assert set(exact.values()) == {0}
    claims = [found["passed"][name] for name in PARAPHRASED]
    assert sum(count for count, _ in claims) <= 0.05 * sum(of for _, of in claims)
    assert found["recall"] > 0.75
    assert SUPPORTED not in found["passed"]
