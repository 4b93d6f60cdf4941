"""A text as the rules compare it: its words, values, negations, modals, quantities and actors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise

from assistant.checking.vocabulary import (
    COMPARISONS,
    FUNCTION,
    LABELS,
    LIMITS,
    MODALS,
    MONTHS,
    NARROWING,
    NEGATIONS,
    NOT_BUT,
    NUMBERS,
    QUANTITIES,
    UNITS,
    actor,
    stem,
)
from assistant.questions import clean_text

_MINUS = r"(?:(?<![^\s(])[-−](?=\d))?"
_TOKEN = re.compile(
    rf"{_MINUS}(?:\d+[a-z]?(?:\(\w{{1,3}}\))+|[^\W_]+(?:[-'’./:+^][^\W_]+)*)|[%€$£]"
)
_ISO = re.compile(r"(?:19|20)\d\d-\d\d(?:-\d\d)?")
_DATE = re.compile(
    rf"(?:\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)? )?\b(?P<month>{'|'.join(sorted(MONTHS, reverse=True))})"
    r"\.?(?: (?P<day2>\d{1,2})(?:st|nd|rd|th)?,)? (?P<year>(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"(?<=\d)[ ,](?=\d{3}\b)")
_CLAUSE = re.compile(r"[,;:()–—]| (?:and|but|because|since|so that|although|unless|while|if|when) ")


@dataclass(frozen=True, slots=True)
class Word:
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
            lowered in FUNCTION
            or lowered in NEGATIONS
            or lowered in MODALS
            or lowered in QUANTITIES
        )


class Reading:
    """What the rules compare, read off a text."""

    def __init__(self, text: str) -> None:
        self.text = clean_text(text)
        self.words = list(_words(self.text))
        self.content = [word for word in self.words if word.content]
        self.stems = {word.stem for word in self.words}

    @cached_property
    def dates(self) -> set[str]:
        """ISO dates, shortened to the month where no day is given."""
        return {word.text for word in self.words if _ISO.fullmatch(word.text)}

    @cached_property
    def years(self) -> set[str]:
        """The years of the dates."""
        return {date[:4] for date in self.dates}

    @cached_property
    def valued(self) -> Counter[str]:
        """How often each number, word with one ("two-thirds") and identifier is named, dates apart."""
        return Counter(
            word.stem
            for word in self.words
            if word.text in "%€$£" or (word.text not in self.dates and _has_number(word.stem))
        )

    @cached_property
    def numbers(self) -> dict[str, set[str]]:
        """Number -> the words that it counts ("" where none follows)."""
        found: dict[str, set[str]] = {}
        for place, word in enumerate(self.words):
            if word.text not in self.dates and (_is_number(word.stem) or word.text == "%"):
                found.setdefault(word.stem, set()).add(self._counted(place))
        return found

    def _counted(self, place: int) -> str:
        before = self.words[place - 1].stem if place else ""
        if before in LABELS or before in UNITS:
            return before
        for previous, word in pairwise(self.words[place:]):
            if previous.breaks or word.clause != self.words[place].clause:
                return ""
            if word.content:
                return "" if _is_number(word.stem) else word.stem
        return ""

    @cached_property
    def quantities(self) -> set[str]:
        """Quantifiers, comparisons and order in time, by class."""
        found = {
            QUANTITIES[word.text.casefold()]
            for word in self.words
            if word.text.casefold() in QUANTITIES
        }
        lowered = self.text.casefold()
        return found | {sign for form, sign in COMPARISONS.items() if re.search(form, lowered)}

    @cached_property
    def limits(self) -> set[tuple[str, str]]:
        """(limit, stem of what it limits) for what a sentence may not leave out.

        A limit is "at least" and its like, by class, before a number that is named once, "only" and
        its like, by class, before any word, or a word that narrows its neighbour.
        """
        lowered = _GROUPED.sub("", self.text.casefold())
        found = {
            (sign, match[1])
            for form, sign in COMPARISONS.items()
            for match in re.finditer(rf"(?:{form}) (?:[a-z]+ )?(\d(?:\S*\w)?)", lowered)
            if self.valued[match[1]] == 1
        }
        for place, word in enumerate(self.words):
            text = word.text.casefold()
            limit = QUANTITIES.get(text, text)
            if limit in LIMITS or text in NARROWING:
                found |= {(limit, limited) for limited in self._following(place)[:1]}
            if text in NARROWING and text.endswith("ly"):
                before = [other.stem for other in self.words[:place] if other.content]
                found |= {(limit, limited) for limited in before[-1:]}
        return found

    @cached_property
    def modals(self) -> list[tuple[str, str]]:
        """(class, stem of the next content word), in order."""
        lowered = [word.text.casefold() for word in self.words]
        return [
            (MODALS[text], next((w.stem for w in self.words[place + 1 :] if w.content), ""))
            for place, text in enumerate(lowered)
            if text in MODALS and not self._is_month(place)
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
            self._following(place + 1 if pair in NOT_BUT else place)
            for place, pair in enumerate(pairs)
            if pair[0] in NEGATIONS or pair in NOT_BUT
        ]

    def _following(self, place: int) -> list[str]:
        told = [word.stem if word.text.casefold() not in FUNCTION else "" for word in self.words]
        after, before = filter(None, told[place + 1 :]), filter(None, reversed(told[:place]))
        return list(islice(after, 3)) or list(islice(before, 1))

    @cached_property
    def actors(self) -> list[str]:
        """Actors in order of first mention."""
        return list(dict.fromkeys(filter(None, (actor(word.text) for word in self.words))))


def _is_number(word: str) -> bool:
    return word.removeprefix("-")[:1].isdigit()


def _has_number(word: str) -> bool:
    parts = word.split("-")
    return any(map(str.isdigit, word)) or any(NUMBERS.get(part, "").isdigit() for part in parts)


def _words(text: str) -> Iterator[Word]:
    clause, last = 0, 0
    text = _DATE.sub(_iso, text)
    text = _GROUPED.sub("", text)
    text = re.sub(r"\bfree of\b", "without", text)
    matches = list(_TOKEN.finditer(text))
    for place, match in enumerate(matches):
        clause += len(_CLAUSE.findall(text, last, match.start()))
        last = match.start()
        stop = matches[place + 1].start() if place + 1 < len(matches) else len(text)
        breaks = bool(re.search(r"[,;:.()]", text[match.end() : stop]))
        word = match[0].strip("'’").replace("−", "-")
        lowered = word.casefold()
        yield Word(word, NUMBERS.get(lowered) or stem(word), clause, breaks)


def _iso(match: re.Match[str]) -> str:
    day = match["day"] or match["day2"]
    month = f"{match['year']}-{MONTHS[match['month'].casefold()]}"
    return f"{month}-{int(day):02}" if day else month
