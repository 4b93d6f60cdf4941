"""Sentence + cited spans -> Verdict: whether the spans bear a sentence that a model wrote.

Pure: no model writes, judges or is asked here. Rules come first, each about one thing that has to
agree exactly (values, names, negation, obligation, quantity); what they leave is a matter of
support: how many of the sentence's words the spans hold, or hold something near to in meaning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from itertools import combinations, islice, pairwise
from typing import Literal

import numpy as np

from assistant.embedding import Vectors
from assistant.questions import clean_text

Fault = Literal[
    "key",
    "form",
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
Embed = Callable[[Sequence[str]], Vectors]

MAX_CHARS = 500
"""The longest sentence that is looked at."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What support takes; fitted on development pairs (``python -m evals checker --fit``).

    word: cosine from which a word may stand for one of the spans'. sentence: cosine of sentence and
    spans. covered: share of the sentence's words that the spans hold.
    """

    word: float = 0.7
    sentence: float = 0.45
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


# --- words ----------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\d+[a-z]?(?:\(\w{1,3}\))+|[^\W_]+(?:[-'’./:+^][^\W_]+)*|[%€$£]")
_CODE = re.compile(r"`([^`]+)`")
_IRREGULAR = {
    "held": "hold", "gave": "give", "given": "give", "wrote": "write", "written": "write",
    "found": "find", "kept": "keep", "sent": "send", "made": "make", "built": "build",
    "shown": "show", "ran": "run", "said": "say", "told": "tell", "got": "get", "grown": "grow",
    "grew": "grow", "hidden": "hide", "hid": "hide", "broke": "break", "broken": "break",
    "chosen": "choose", "chose": "choose", "taken": "take", "took": "take", "taught": "teach",
    "led": "lead", "left": "leave", "lost": "lose", "meant": "mean", "paid": "pay",
    "stole": "steal", "stolen": "steal", "fell": "fall", "fallen": "fall", "rose": "rise",
    "children": "child", "people": "person", "people's": "person", "data": "datum",
    "analyses": "analysis", "analyse": "analysis", "analysing": "analysis", "analysed": "analysis",
    "analyze": "analysis", "analyzing": "analysis", "analyzed": "analysis", "indices": "index",
    "license": "licence", "licenses": "licence", "licensed": "licence", "safe": "safety",
}  # fmt: skip
_SUFFIXES = (
    "ifications", "ification", "isations", "isation", "izations", "ization", "ations", "ation",
    "ments", "ment", "ising", "izing", "ised", "ized", "ises", "izes", "ities", "ity", "ions",
    "ion", "ings", "ing", "ances", "ance", "ences", "ence", "ably", "able", "ible", "edly", "ed",
    "ally", "ly", "als", "al", "es", "s",
)  # fmt: skip


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its ending, so that forms of it compare equal; numbers stay as they are."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    word = _IRREGULAR.get(word, word)
    if not word.isalpha():
        return word
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    else:
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= 3:
                if suffix == "s" and word.endswith(("ss", "us", "is")):
                    continue
                word = word[: -len(suffix)]
                break
    if len(word) > 4 and word.endswith("at"):
        word = word[:-2]
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    if len(word) > 3 and word.endswith(("is", "iz")):
        word = word[:-2]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


_FUNCTION = frozenset(
    """a about according also am an and are as at be because been being both but by did do does done
    doing for from had has have having he her here him his how i if in into is it its itself just me
    my nor of off on onto or our out own per she so such than that the their them then there
    therefore these they this those through thus to too us via was we were what when where whereas
    whether which while who whom whose why with would you your yours already even still yet however
    mean means moreover instead rather well another other others something anything someone since more less fewer
    here there use used uses using happen happens happened occur occurs become becomes became turn
    turned turns make makes thing things way ways example instance case cases""".split()
)
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
    if number != 1
} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90",
    "hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000",
    "first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th",
    "half": "0.5", "twice": "x2", "double": "x2", "once": "x1", "percent": "%",
}  # fmt: skip
_MONTHS = {
    name: f"{number:02}"
    for number, names in enumerate(
        "january jan/february feb/march mar/april apr/may/june jun/july jul/august aug/"
        "september sep sept/october oct/november nov/december dec".split("/"), 1
    )
    for name in names.split()
}  # fmt: skip
_DATE = re.compile(
    r"(?:(?P<day>\d{1,2})(?:st|nd|rd|th)? )?(?P<month>"
    + "|".join(sorted(_MONTHS, key=len, reverse=True))
    + r")\.?(?: (?P<day2>\d{1,2})(?:st|nd|rd|th)?,)? (?P<year>(?:19|20)\d\d)\b"
    r"|\b(?P<iso>(?:19|20)\d\d-\d\d(?:-\d\d)?)\b",
    re.IGNORECASE,
)
_UNITS = frozenset(
    map(
        stem,
        """% eur usd gbp euro dollar pound hour day week month year minute second token point mb gb
        kb tb million billion thousand operation pixel weeks""".split(),
    )
)
_LABELS = frozenset(
    map(stem, "tier level art article annex recital phase step version count chapter".split())
)
_NEGATIONS = frozenset(
    "not no never cannot can't don't doesn't isn't aren't won't neither nor none nobody nothing "
    "without unless except excluding".split()
)
_NOT_BUT = {("rather", "than"), ("instead", "of")}
_MODALS = {
    "must": "must", "shall": "must", "required": "must", "requires": "must", "require": "must",
    "mandatory": "must", "obliged": "must", "obligatory": "must", "need": "need", "needs": "need",
    "should": "should", "recommended": "should", "recommends": "should", "recommend": "should",
    "suggests": "should", "encouraged": "should", "advised": "should", "ought": "should",
    "may": "may", "can": "may", "could": "may", "might": "may", "cannot": "may", "will": "will",
    "allowed": "may", "permitted": "may", "optional": "may",
}  # fmt: skip
_QUANTITIES = {
    "all": "all", "every": "all", "each": "all", "any": "all", "always": "all", "never": "never",
    "some": "some", "most": "most", "few": "few", "many": "many", "several": "several",
    "only": "only", "alone": "only", "almost": "almost", "nearly": "almost", "often": "often",
    "usually": "often", "sometimes": "some", "rarely": "few",
    "before": "before", "beforehand": "before", "after": "after", "until": "until",
    "above": ">", "over": ">", "exceeding": ">", "exceeds": ">", "below": "<", "under": "<",
    "within": "<=",
}  # fmt: skip
_COMPARISONS = {
    r"\b(?:more|greater|higher|longer|older) than\b": ">",
    r"\b(?:less|fewer|lower|shorter|younger) than\b": "<",
    r"\b(?:at least|no fewer than|not less than|a minimum of|minimum|no earlier than)\b": ">=",
    r"\b(?:at most|no more than|up to|a maximum of|maximum|no later than|at the latest)\b": "<=",
}
_OPPOSITES = (
    "increase grow rise gain|decrease fall drop reduce decline", "allow permit enable accept approve|"
    "deny forbid prohibit block reject refuse stop disable", "keep retain|delete erase remove",
    "public|private", "internal|external", "direct|indirect", "high|low|medium", "weak|strong",
    "automatic|manual", "same|different", "clean|poisoned", "malicious|benign", "open|closed",
    "read-only|read-write", "start begin|stop end", "positive|negative", "safe|unsafe|dangerous",
    "trusted|untrusted", "signed|unsigned", "verified|unverified", "regulated|unregulated",
    "minimum|maximum", "little|broad|much", "higher|lower", "paid|free", "exact|approximate",
    "trust rely|distrust", "include|exclude", "commercial|non-commercial", "current|outdated",
    "suspend|continue|resume", "voluntary|mandatory|binding", "upstream|downstream",
    "more|less fewer", "encrypt|decrypt", "input|output", "online|offline", "static|dynamic", "large|small",
)  # fmt: skip
_SYNONYMS = {
    stem(word): stem(group.split()[0])
    for group in (
        "check examine inspect review verify", "inform tell notify", "show find demonstrate report",
        "remove delete erase", "keep retain store", "start begin", "person human individual people",
        "organisation company", "disclose reveal", "get obtain acquire", "alter change modify",
        "correct right", "large big", "assess evaluate", "flaw bug defect", "need necessary",
        "document documentation", "image picture", "vulnerability weakness", "harm damage",
        "hazard danger", "attack attacks", "state say mention", "watch monitor", "confirm approve",
        "build develop", "purpose goal aim", "rule regulation", "run execute", "url link",
    )
    for word in group.split()
}  # fmt: skip
_ACTORS = frozenset(
    map(
        stem,
        """provider deployer importer distributor manufacturer developer user operator controller
        processor authority representative commission office body state auditor attacker adversary
        tenant customer employee organisation practitioner vendor supplier maintainer author signer
        verifier client server regulator police""".split(),
    )
)
_CLAUSE = re.compile(r"[,;:()–—]| (?:and|but|because|since|so that|although|unless|while|if|when) ")
_PASSIVE = re.compile(r"\b\w+(?:ed|en|wn) by\b|\b(?:is|are|was|were|be|been) \w+ed\b")
_MARKUP = re.compile(
    r"!?\[[^\]]*\]\(|https?://|www\.|<[a-zA-Z/!]|\bdata:\w|javascript:", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text; ``clause`` counts the parts between commas and conjunctions."""

    text: str
    stem: str
    clause: int
    breaks: bool

    @property
    def content(self) -> bool:
        """Whether it carries meaning of its own."""
        lowered = self.text.casefold()
        return not (
            lowered in _FUNCTION
            or lowered in _NEGATIONS
            or lowered in _MODALS
            or lowered in _QUANTITIES
        )


class _Reading:
    """What the rules compare, read off a text."""

    def __init__(self, text: str) -> None:
        self.text = clean_text(text)
        self.words = list(_words(self.text))
        self.content = [word for word in self.words if word.content]
        self.stems = {word.stem for word in self.words}

    @cached_property
    def dates(self) -> set[str]:
        """ISO dates, shortened to the month where no day is given."""
        return {_iso(match) for match in _DATE.finditer(self.text)}

    @cached_property
    def valued(self) -> Counter[str]:
        """How often each number and each identifier with a digit is named."""
        return Counter(
            word.stem
            for word in self.words
            if word.text in "%€$£" or any(character.isdigit() for character in word.stem)
        )

    @cached_property
    def numbers(self) -> dict[str, set[str]]:
        """Number -> the words that it counts ("" where none follows)."""
        found: dict[str, set[str]] = {}
        for place, word in enumerate(self.words):
            if word.stem[:1].isdigit() or word.text == "%":
                found.setdefault(word.stem, set()).add(self._counted(place))
        return found

    def _counted(self, place: int) -> str:
        before = self.words[place - 1].stem if place else ""
        if before in _LABELS or before in _UNITS:
            return before
        for previous, word in pairwise(self.words[place:]):
            if previous.breaks or word.clause != self.words[place].clause:
                return ""
            if word.content:
                return "" if word.stem[:1].isdigit() else word.stem
        return ""

    @cached_property
    def quantities(self) -> set[str]:
        """Quantifiers, comparisons and order in time, by class."""
        found = {
            _QUANTITIES[word.text.casefold()]
            for word in self.words
            if word.text.casefold() in _QUANTITIES
        }
        lowered = self.text.casefold()
        return found | {sign for form, sign in _COMPARISONS.items() if re.search(form, lowered)}

    @cached_property
    def modals(self) -> list[tuple[str, str]]:
        """(class, stem of the next content word), in order."""
        lowered = [word.text.casefold() for word in self.words]
        return [
            (_MODALS[text], next((w.stem for w in self.words[place + 1 :] if w.content), ""))
            for place, text in enumerate(lowered)
            if text in _MODALS and not self._is_month(place)
        ]

    def _is_month(self, place: int) -> bool:
        following = self.words[place + 1].text if place + 1 < len(self.words) else ""
        return self.words[place].text == "May" and following.isdigit()

    @cached_property
    def negated(self) -> list[list[str]]:
        """For each negation the stems of the words that follow it, three at most."""
        lowered = [word.text.casefold() for word in self.words]
        pairs = list(pairwise([*lowered, ""]))
        return [
            self._following(place + 1 if pair in _NOT_BUT else place)
            for place, pair in enumerate(pairs)
            if pair[0] in _NEGATIONS or pair in _NOT_BUT
        ]

    def _following(self, place: int) -> list[str]:
        told = [word.stem if word.text.casefold() not in _FUNCTION else "" for word in self.words]
        after, before = filter(None, told[place + 1 :]), filter(None, reversed(told[:place]))
        return list(islice(after, 3)) or list(islice(before, 1))

    @cached_property
    def actors(self) -> list[str]:
        """Actors in order of first mention."""
        return list(dict.fromkeys(word.stem for word in self.words if word.stem in _ACTORS))


def _words(text: str) -> Iterator[_Word]:
    clause, last = 0, 0
    text = re.sub(r"(?<=\d)[ ,](?=\d{3}\b)", "", text)
    text = re.sub(r"\bfree of\b", "without", text)
    matches = list(_TOKEN.finditer(text))
    for place, match in enumerate(matches):
        clause += len(_CLAUSE.findall(text, last, match.start()))
        last = match.start()
        stop = matches[place + 1].start() if place + 1 < len(matches) else len(text)
        breaks = bool(re.search(r"[,;:.()]", text[match.end() : stop]))
        word = match[0].strip("'’")
        lowered = word.casefold()
        yield _Word(word, _NUMBERS.get(lowered) or stem(word), clause, breaks)


def _iso(match: re.Match[str]) -> str:
    if match["iso"]:
        return match["iso"]
    day = match["day"] or match["day2"]
    month = f"{match['year']}-{_MONTHS[match['month'].casefold()]}"
    return f"{month}-{int(day):02}" if day else month


# --- rules ----------------------------------------------------------------------------------------


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
    said = _Reading(sentence)
    if said.text in (clean_text(quote) for quote in quotes):
        return Verdict(None)
    borne = _Reading(". ".join(quotes))
    label = _Reading(". ".join(names))
    for fault, rule in (
        ("form", _form),
        ("value", _values),
        ("name", _names),
        ("quantity", _quantity),
        ("negation", _negation),
        ("obligation", _obligation),
        ("opposite", _opposite),
        ("actor", _actor),
        ("exchange", _exchanged),
    ):
        problem = rule(said, borne, label)
        if problem:
            return Verdict(fault, problem)
    return _support(said, quotes, borne, label, embed, thresholds)


def _form(said: _Reading, borne: _Reading, label: _Reading) -> str:
    if len(said.text) > MAX_CHARS:
        return f"it is longer than {MAX_CHARS} characters"
    if _MARKUP.search(said.text):
        return "it holds a link, an image or markup"
    if len(said.content) < 3:
        return "it is not a sentence"
    return ""


def _values(said: _Reading, borne: _Reading, label: _Reading) -> str:
    for code in _CODE.findall(said.text):
        if code not in borne.text:
            return f"`{code}` is not in the cited passages"
    known_dates = borne.dates | label.dates
    for date in said.dates:
        if not any(known == date or known.startswith(f"{date}-") for known in known_dates):
            return f"the date {date} is not in the cited passages"
    for number, times in said.valued.items():
        if times > max(borne.valued[number], label.valued[number]):
            return f"'{number}' is not in the cited passages"
    for number, counted in said.numbers.items():
        units = borne.numbers.get(number)
        if units is None or "" in units or number in _dated(said):
            continue
        for unit in counted - {""} - units:
            return f"'{number} {unit}' is not in the cited passages"
    return ""


def _dated(reading: _Reading) -> set[str]:
    return {part for date in reading.dates for part in (date, date[:4], date[-2:].lstrip("0"))}


def _names(said: _Reading, borne: _Reading, label: _Reading) -> str:
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


def _quantity(said: _Reading, borne: _Reading, label: _Reading) -> str:
    for quantity in sorted(said.quantities - borne.quantities):
        return f"'{quantity}' is not what the cited passages say of quantity, order or extent"
    if "almost" in borne.quantities - said.quantities and "all" in said.quantities:
        return "it leaves out 'almost'"
    return ""


def _negation(said: _Reading, borne: _Reading, label: _Reading) -> str:
    """Each negation has its counterpart, the one that negates the same word before others."""
    rest = list(borne.negated)
    for nearness in (_same_word, _same_words):
        left = []
        for scope in said.negated if nearness is _same_word else unmatched:
            counterpart = next((other for other in rest if nearness(scope, other)), None)
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


def _obligation(said: _Reading, borne: _Reading, label: _Reading) -> str:
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


@lru_cache(maxsize=1)
def _sides() -> list[list[set[str]]]:
    return [[set(map(stem, side.split())) for side in group.split("|")] for group in _OPPOSITES]


def _opposite(said: _Reading, borne: _Reading, label: _Reading) -> str:
    for sides in _sides():
        for side in sides:
            used = side & said.stems
            if not used or side & borne.stems:
                continue
            if any(other & borne.stems for other in sides if other is not side):
                return f"'{min(used)}' is the opposite of what the cited passages say"
    return ""


def _exchanged(said: _Reading, borne: _Reading, label: _Reading) -> str:
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


def _actor(said: _Reading, borne: _Reading, label: _Reading) -> str:
    for actor in said.actors:
        if actor not in borne.stems:
            return f"the cited passages do not speak of '{actor}'"
    if _PASSIVE.search(said.text) or _PASSIVE.search(borne.text):
        return ""
    shared = [actor for actor in borne.actors if actor in said.actors]
    if shared != [actor for actor in said.actors if actor in shared] or _reversed(said, borne):
        return "who does what is not as in the cited passages"
    return ""


def _reversed(said: _Reading, borne: _Reading) -> bool:
    """Whether three words in a row stand in the passages near each other the other way round."""
    there = [word.stem for word in borne.content]
    stems = [word.stem for word in said.content]
    for triple in zip(stems, stems[1:], stems[2:], strict=False):
        if all(there.count(entry) == 1 for entry in triple):
            first, second, third = (there.index(entry) for entry in triple)
            if first > second > third >= first - 4:
                return True
    return False


# --- support --------------------------------------------------------------------------------------


def _support(
    said: _Reading,
    quotes: Sequence[str],
    borne: _Reading,
    label: _Reading,
    embed: Embed,
    thresholds: Thresholds,
) -> Verdict:
    words = {word.stem: word.text for word in said.content}
    known = borne.stems | label.stems | {_SYNONYMS.get(entry, entry) for entry in borne.stems}
    missing = [text for form, text in words.items() if not {form, _SYNONYMS.get(form)} & known]
    covered = 1.0 - len(missing) / len(words)
    own = list(dict.fromkeys(word.text.casefold() for word in borne.content))
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
