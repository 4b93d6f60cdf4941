"""Sentence + cited quotes -> Verdict: whether the quotes bear a sentence that a model wrote.

Pure: no model writes, judges or is asked here. The rules come first; what they leave is a matter of
support: how many of the sentence's words the quotes hold, or hold something near to in meaning.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.checking.reading import Reading
from assistant.checking.rules import RULES, Fault
from assistant.checking.vocabulary import SYNONYMS
from assistant.embedding import Vectors
from assistant.questions import clean_text

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What support takes; fitted on development pairs (``python -m evals checker --fit``).

    word: cosine from which a word may stand for one of the spans'. sentence: cosine of sentence and
    spans. covered: share of the sentence's words that the spans hold.
    """

    word: float = 0.7
    sentence: float = 0.55
    covered: float = 0.8


FITTED = Thresholds()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a sentence may be shown. reason: a sentence fit for a user and a model; "" if passed.

    scores: the evidence on support, by name; empty if a rule decided before.
    """

    fault: Fault | None
    reason: str = ""
    scores: tuple[tuple[str, float], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.fault is None


def check(
    sentence: str,
    quotes: Sequence[str],
    names: Sequence[str],
    embed: Embed,
    thresholds: Thresholds = FITTED,
) -> Verdict:
    """Whether the quotes bear a sentence.

    names: texts that say where the quotes stand (locator, title, publisher); they may lend names,
    numbers and dates to a sentence but bear nothing of what it says.
    """
    if any(unicodedata.category(sign)[0] == "C" for sign in set(sentence).difference(*quotes)):
        return Verdict("form", "it holds characters that cannot be seen")
    said = Reading(sentence)
    if said.text in (clean_text(quote) for quote in quotes):
        return Verdict(None)
    borne = Reading(". ".join(quotes))
    label = Reading(". ".join(names))
    for fault, rule in RULES:
        problem = rule(said, borne, label)
        if problem:
            return Verdict(fault, problem)
    return _support(said, quotes, borne, label, embed, thresholds)


def _support(
    said: Reading,
    quotes: Sequence[str],
    borne: Reading,
    label: Reading,
    embed: Embed,
    thresholds: Thresholds,
) -> Verdict:
    words = {word.stem: word.text for word in said.content}
    known = borne.stems | label.stems | {SYNONYMS.get(entry, entry) for entry in borne.stems}
    missing = [text for form, text in words.items() if not {form, SYNONYMS.get(form)} & known]
    covered = 1.0 - len(missing) / len(words)
    own = list(dict.fromkeys(word.text.casefold() for word in borne.content)) if missing else []
    vectors = embed([said.text, ". ".join(quotes), *missing, *own])
    sentence = float(vectors[0] @ vectors[1])
    near = (vectors[2 : 2 + len(missing)] @ vectors[2 + len(missing) :].T).max(axis=1, initial=-1.0)
    unmatched = [text for text, best in zip(missing, near, strict=True) if best < thresholds.word]
    scores = (
        ("covered", covered),
        ("sentence", sentence),
        ("word", float(np.min(near, initial=1.0))),
    )
    if unmatched:
        listed = ", ".join(f"'{text}'" for text in unmatched[:4])
        return Verdict("support", f"the cited passages do not bear {listed}", scores)
    if covered < thresholds.covered or sentence < thresholds.sentence:
        return Verdict("support", "the cited passages do not say enough of this", scores)
    return Verdict(None, "", scores)
