"""The rules of the checker: each says what is wrong of one thing that has to agree exactly, or "".

``said`` is the sentence, ``borne`` the quotes that it cites, ``label`` what says where they stand,
which may lend names, numbers and dates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from itertools import combinations, pairwise
from typing import Literal

from assistant.checking.reading import Reading
from assistant.checking.vocabulary import DURATIONS, OPPOSING, OPPOSITES, stem

Fault = Literal[
    "key",
    "form",
    "report",
    "value",
    "name",
    "quantity",
    "negation",
    "obligation",
    "opposite",
    "actor",
    "exchange",
    "support",
]
_REPORTS = re.compile(
    r"\b(?P<verb>(?:say|tell|claim|state|answer|reply|respond|conclude|write|assure|pretend|print|output"
    r"|repeat|quote|recommend|promise|assume|believe|imagine|begin|approve|store|treat|take|obey)"
    r"(?:s|d|ed|ing)?)\b[^.;]{0,40}?(?:\bthat\b|\bto\b|\bas\b|\bwith\b|:|[\"“‘])(?P<inner>[^.;]{8,})",
    re.IGNORECASE,
)
MAX_CHARS = 500
"""The longest sentence that is looked at."""


_CODE = re.compile(r"`([^`]+)`")
_PASSIVE = re.compile(r"\b\w+(?:ed|en|wn) by\b|\b(?:is|are|was|were|be|been) \w+ed\b")
_MARKUP = re.compile(
    r"!?\[[^\]]*\]\(|https?://|www\.|<[a-zA-Z/!]|\bdata:\w|javascript:", re.IGNORECASE
)


def _form(said: Reading, borne: Reading, label: Reading) -> str:
    if len(said.text) > MAX_CHARS:
        return f"it is longer than {MAX_CHARS} characters"
    if _MARKUP.search(said.text):
        return "it holds a link, an image or markup"
    if "\N{REPLACEMENT CHARACTER}" in said.text:
        return "it holds a broken character"
    if len(said.content) < 3:
        return "it is not a sentence"
    return ""


def _values(said: Reading, borne: Reading, label: Reading) -> str:
    for code in _CODE.findall(said.text):
        if code not in borne.text:
            return f"`{code}` is not in the cited passages"
    for date in said.dates:
        if not any(f"{known}-".startswith(f"{date}-") for known in borne.dates | label.dates):
            return f"the date {date} is not in the cited passages"
    for number, times in said.valued.items():
        lent = label.valued[number] if _labels(number, said, label) else 0
        if times > max(borne.valued[number], lent, number in borne.years):
            return f"'{number}' is not in the cited passages"
    for word in said.content:
        if word.stem in DURATIONS and word.stem not in borne.stems | label.stems:
            return f"'{word.text}' is not in the cited passages"
    for number, counted in said.numbers.items():
        units = borne.numbers.get(number)
        if units is None or "" in units:
            continue
        for unit in counted - {""} - units:
            return f"'{number} {unit}' is not in the cited passages"
    return ""


def _reported(said: Reading, borne: Reading, label: Reading) -> str:
    """What a passage only reports, demands or supposes to be said is not said without that."""
    for match in _REPORTS.finditer(borne.text):
        inner = {word.stem for word in Reading(match["inner"]).content}
        own = {word.stem for word in said.content}
        if stem(match["verb"]) not in said.stems and len(own & inner) > len(own) / 2:
            return f"the cited passages do not say this, but speak of '{match['verb']}'"
    return ""


def _labels(number: str, said: Reading, label: Reading) -> bool:
    """Whether a number stands with the same word as in the label: an article's is no amount."""
    return said.numbers.get(number, set()) <= label.numbers.get(number, set())


def _names(said: Reading, borne: Reading, label: Reading) -> str:
    for place, word in enumerate(said.words):
        inner = any(character.isupper() for character in word.text[1:])
        if not (inner or (place and word.text[0].isupper())):
            continue
        parts = [word.stem, *(stem(part) for part in re.split(r"[-/.]", word.text) if part)]
        if word.stem in borne.stems or word.stem in label.stems:
            continue
        if not all(part in borne.stems or part in label.stems for part in parts[1:]):
            return f"'{word.text}' is not named in the cited passages"
    return ""


def _quantity(said: Reading, borne: Reading, label: Reading) -> str:
    for quantity in sorted(said.quantities - borne.quantities):
        return f"'{quantity}' is not what the cited passages say of quantity, order or extent"
    for limit, limited in sorted(borne.limits):
        kept = limit in said.quantities or stem(limit) in said.stems
        if limited in said.stems and not kept:
            return f"it leaves out '{limit}'"
    return ""


def _negation(said: Reading, borne: Reading, label: Reading) -> str:
    """Each negation has its counterpart, the one that negates the same word before others."""
    unmatched, rest = said.negated, list(borne.negated)
    for alike in (_same_word, _same_words):
        left = []
        for scope in unmatched:
            counterpart = next((other for other in rest if alike(scope, other)), None)
            if counterpart is None:
                left.append(scope)
            else:
                rest.remove(counterpart)
        unmatched = left
    if unmatched:
        return "it adds a negation"
    if any(scope and scope[0] in said.stems for scope in rest):
        return "it leaves out a negation"
    return ""


def _same_word(one: list[str], other: list[str]) -> bool:
    return one[:1] == other[:1]


def _same_words(one: list[str], other: list[str]) -> bool:
    return bool(set(one[:1]) & set(other) or set(other[:1]) & set(one))


def _obligation(said: Reading, borne: Reading, label: Reading) -> str:
    classes = Counter(strength for strength, _ in borne.modals)
    given = Counter(strength for strength, _ in said.modals)
    for strength, verb in said.modals:
        advice = strength == "should" and not classes
        if given[strength] > classes[strength] and not advice:
            return f"the cited passages do not say '{strength}'"
        of_verb = {known for known, other in borne.modals if other == verb}
        if of_verb and strength not in of_verb:
            return f"the cited passages say '{min(of_verb)}' of this, not '{strength}'"
    for strength, verb in borne.modals:
        if strength in {"may", "should"} and verb in said.stems and not given:
            return f"it leaves out '{strength}'"
    return ""


def _opposite(said: Reading, borne: Reading, label: Reading) -> str:
    for sides in OPPOSITES:
        for side in sides:
            used = side & said.stems
            if not used or side & borne.stems:
                continue
            if any(other & borne.stems for other in sides if other is not side):
                return f"'{min(used)}' is the opposite of what the cited passages say"
    for word in said.content:
        text = word.text.casefold()
        opposites = {stem(beginning + text) for beginning in OPPOSING}
        opposites |= {stem(text.removeprefix(beginning)) for beginning in OPPOSING}
        if word.stem not in borne.stems and opposites & borne.stems:
            return f"'{word.text}' is the opposite of what the cited passages say"
    return ""


def _exchanged(said: Reading, borne: Reading, label: Reading) -> str:
    """Two words that stand in each other's place, as when two numbers or two roles are swapped."""
    mine = [word.stem for word in said.content]
    theirs = [word.stem for word in borne.content]
    replaced = [
        (set(mine[i:j]), set(theirs[k:m]))
        for kind, i, j, k, m in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes()
        if kind == "replace"
    ]
    for (here, there), (here_too, there_too) in combinations(replaced, 2):
        first, second = (here & there_too) - there, (here_too & there) - here
        if first and second:
            return f"'{min(first)}' and '{min(second)}' are exchanged"
    return ""


def _misplaced(said: Reading, borne: Reading, label: Reading) -> str:
    """A number, dates apart, after a word that has another number after it in the passages."""
    for before, after in pairwise(said.content):
        known = {there.stem for word, there in pairwise(borne.content) if word.stem == before.stem}
        numbers = known & set(borne.numbers)
        if after.stem in said.numbers and numbers and after.stem not in known:
            return f"after '{before.text}' the cited passages have '{min(numbers)}'"
    return ""


def _actor(said: Reading, borne: Reading, label: Reading) -> str:
    for actor in said.actors:
        if actor not in borne.actors:
            return f"the cited passages do not speak of '{actor}'"
    if _PASSIVE.search(said.text) or _PASSIVE.search(borne.text):
        return ""
    shared = [actor for actor in borne.actors if actor in said.actors]
    if shared != [actor for actor in said.actors if actor in shared] or _reversed(said, borne):
        return "who does what is not as in the cited passages"
    return ""


def _reversed(said: Reading, borne: Reading) -> bool:
    """Whether three words in a row stand in the passages near each other the other way round."""
    there = [word.stem for word in borne.content]
    stems = [word.stem for word in said.content]
    for triple in zip(stems, stems[1:], stems[2:], strict=False):
        if all(there.count(entry) == 1 for entry in triple):
            first, second, third = (there.index(entry) for entry in triple)
            if first > second > third >= first - 4:
                return True
    return False


Rule = Callable[[Reading, Reading, Reading], str]
RULES: tuple[tuple[Fault, Rule], ...] = (
    ("form", _form),
    ("report", _reported),
    ("value", _values),
    ("name", _names),
    ("quantity", _quantity),
    ("negation", _negation),
    ("obligation", _obligation),
    ("opposite", _opposite),
    ("actor", _actor),
    ("exchange", _exchanged),
    ("exchange", _misplaced),
)
"""In this order; the first that finds something decides."""
