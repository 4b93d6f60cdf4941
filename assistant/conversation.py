"""A question and the answers before it -> the question on its own, by rules.

A follow-up ("and for deployment?", "what does the law say?", "more on [3]") takes its topic, its
phase and the provisions it points at from what was asked and cited. All that it means is written
into one question, which any answerer can be asked. A question that stands on its own is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assistant.documents import Corpus
from assistant.questions import (
    MAX_CHARS,
    Question,
    content_words,
    named_sources,
    read_question,
    without_scope,
)
from assistant.types import Answer, Role

HISTORY = 6
"""How many of the latest answers a follow-up can refer to."""
STANDS = 3
"""From how many telling words on a question that refers to nothing is taken to stand on its own."""
_OPENS = re.compile(
    r"(?:(?:ok|okay|so|right|thanks|thank you|cool|hm+)[,. ]+)*"
    r"(?:and|but|or|also|then|what about|how about|what if|what of|same for|since when|why|how come)\b",
    re.I,
)
_TURNS = re.compile(
    r"\b(?:(?:different|new|another|next) (?:thing|topic|question|subject)|something else"
    r"|change of (?:topic|subject)|unrelated)\b",
    re.I,
)
_BACK = re.compile(
    r"\b(?:it|its|they|them|their|these|this|those(?! (?:who|that|than|which)\b)|such(?! as\b)"
    r"|the same(?= (?:for|with|in|true|go|apply)\b|\W*$)|the other one"
    r"|(?:then|too|either|as well|instead|otherwise|anyway|afterwards|somewhere)(?=\W*$)"
    r"|that(?=(?: \w+)?\W*$))\b"
    r"|\b(?:is|are|was|were|does|do|did|has|had|will|would|can|could|should|to|of|for|on|in|with|by"
    r"|about|after|before|like|and|if|why|how|says?) that\b",
    re.I,
)
# "Is it safe to …", "on its own" and "… and it still …" refer to nothing that was said before.
_EMPTY = re.compile(
    r"\b(?:is|was|would|will|be|does) it (?:\w+ ){1,3}(?:to|that|if|when)\b|\bis it true\b"
    r"|\bit is \w+ (?:to|that)\b|\bon (?:its|their) own\b"
    r"|(?<=\w )(?:and|but|so|because) (?:it|they)\b|(?<=\w )(?:its|their)\b",
    re.I,
)
_SENTENCE = re.compile(r"[.;:?!–](?= )")
_CLAUSE = re.compile(
    r"[,.;:?!–(]|\b(?:and|but|so|if|when|that|what|which|who|because|before|after|while|where|or"
    r"|once|to)\b",
    re.I,
)
# Words of a follow-up that say nothing besides what it points at or limits itself to.
_FILLER = frozenset(
    ["advice", "another", "anybody", "applies", "apply", "case", "cases", "detail", "details", "elaborate", "exist", "exists", "find", "found", "further", "good", "happen", "happened", "help", "helps", "hold", "holds", "instance", "known", "look", "mention", "mentions", "obligation", "optional", "practice", "real", "recommended", "required", "work", "works"]
)  # fmt: skip
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_NOUNS: Mapping[str, Role] = {
    **dict.fromkeys(("action", "step", "measure", "recommendation"), "action"),
    **dict.fromkeys(("requirement", "law", "rule", "article", "obligation", "duty"), "requirement"),
    **dict.fromkeys(("incident", "study", "case", "example"), "evidence"),
}
_PLACE = re.compile(
    rf"\bthe (?P<place>{'|'.join(_ORDINALS)}|last)"
    rf"(?: (?:one|point|item|statement|answer|source|(?P<noun>{'|'.join(_NOUNS)}))\b|(?=[,.?!]|$))",
    re.I,
)
_NUMBER = re.compile(
    r"(?:\[|#|\b(?:number|no\.?|point|item|source|citation|footnote|reference) )(\d{1,2})\b", re.I
)
_LIMITS: Mapping[str, re.Pattern[str]] = {
    "According to the law": re.compile(
        r"\b(?:laws?|legal|legally|required|mandatory|obligatory|regulations?|regulators?)\b", re.I
    ),
    "In incidents": re.compile(
        r"\b(?:incidents?|(?:ever|really|actually) happen(?:ed)?|in the wild|(?:real )?examples?"
        r"|real(?:-world)? cases?|(?:ever|already|really) (?:hurt|harmed|gone wrong))\b",
        re.I,
    ),
    "In studies": re.compile(r"\b(?:stud(?:y|ies)|research|papers?)\b", re.I),
    "According to standards": re.compile(r"\bstandards?\b", re.I),
    "According to guidelines": re.compile(r"\b(?:guidelines?|guidance|best practices?)\b", re.I),
    "In the EU": re.compile(r"\bin (?:the )?(?:EU|Europe|european union)\b", re.I),
    "In the US": re.compile(r"\bin (?:the )?(?:USA?|U\.S\.|united states|america)(?!\w)", re.I),
    "In Australia": re.compile(r"\bin australia\b", re.I),
    "In Singapore": re.compile(r"\bin singapore\b", re.I),
}
_EXAMPLE = re.compile(r"\bexamples?\b", re.I)
_AUTHORITY = re.compile(
    r"\b(?:GDPR|AI Act|NIST|OWASP|MITRE|ATLAS|CoSAI|AIUC|FINOS|IBM|AISVS|ASI)\b", re.I
)
_RELEASE = r"(?:the )?(?:release|launch|go-live|going live|deployment|rollout|shipping)\b"
_AROUND_RELEASE: Mapping[str, re.Pattern[str]] = {
    "maintenance": re.compile(rf"\bafter {_RELEASE}", re.I),
    "evaluation": re.compile(rf"\bbefore {_RELEASE}", re.I),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A question on its own, and the phases that it is about as far as its words do not say so."""

    text: str
    phases: tuple[str, ...] = ()


def read_in_context(
    text: str, history: Sequence[Answer], corpus: Corpus, covers: Callable[[str], bool]
) -> Reading:
    """What a question means after the answers of ``history``, oldest first; the last HISTORY count.

    ``covers`` says whether the corpus covers a question as it stands. Raises QuestionError as
    ``read_question`` does.
    """
    question = read_question(text, corpus)
    recent = history[-HISTORY:]
    if not recent:
        return Reading(question.text)
    pointed = _pointed_at(question.text, recent)
    if pointed:
        return Reading(f"What does {pointed} say?")
    unanswerable = question.wishes and not covers(question.text)
    if stands_alone(question) or unanswerable:
        return Reading(question.text)
    return _carried(question, recent, corpus, covers)


def stands_alone(question: Question) -> bool:
    """Whether a question says what it is about, so that what was asked before has no part in it."""
    text = question.text
    if question.mentions or question.provisions or question.scope.named or _TURNS.search(text):
        return True
    if _refers_back(text):
        return False
    opens = bool(_OPENS.match(text))
    telling = len(_telling(text))
    named = telling == STANDS - 1 and not opens and bool(question.concerns)
    return named or telling >= STANDS + opens


def _refers_back(text: str) -> bool:
    """Whether a pronoun or the like has nothing before it in the question that it can stand for."""
    empty = [match.span() for match in _EMPTY.finditer(text)]
    for match in _BACK.finditer(text):
        before = text[: match.start()]
        explained = (
            any(start <= match.start() < stop for start, stop in empty)
            or len(_telling(_up_to(_SENTENCE, before))) > 0
            or len(_telling(_up_to(_CLAUSE, before))) > 1
            or len(_telling(before)) > STANDS
        )
        if not explained:
            return True
    return False


def _up_to(end: re.Pattern[str], text: str) -> str:
    """The text before the last match of a pattern; nothing if there is none."""
    return text[: max((match.start() for match in end.finditer(text)), default=0)]


def _telling(text: str) -> tuple[str, ...]:
    return tuple(word for word in content_words(text) if word not in _FILLER)


def _pointed_at(text: str, recent: Sequence[Answer]) -> str | None:
    """The id of the provision that a question points at by its place or number, if it does.

    A number is that of a citation in the latest answer that has any; a place is counted in the
    statements of the last answer, or in the topics that it named instead.
    """
    match = _NUMBER.search(text)
    if match:
        cited = next((answer for answer in reversed(recent) if answer.citations), recent[-1])
        number = int(match[1])
        return _cited(cited, number) if 0 < number <= len(cited.citations) else None
    match = _PLACE.search(text)
    if match is None:
        return None
    answer = recent[-1]
    role = _NOUNS.get((match["noun"] or "").casefold())
    listed = [
        _cited(answer, statement.citations[0])
        for statement in answer.statements
        if role in (None, statement.role)
    ] or [f"{topic.source_id}#{topic.locator}" for topic in answer.nearest]
    place = match["place"].casefold()
    number = len(listed) - 1 if place == "last" else _ORDINALS.index(place)
    return listed[number] if 0 <= number < len(listed) else None


def _cited(answer: Answer, number: int) -> str:
    citation = answer.citations[number - 1]
    return f"{citation.source_id}#{citation.locator}"


def _carried(
    question: Question, recent: Sequence[Answer], corpus: Corpus, covers: Callable[[str], bool]
) -> Reading:
    """The follow-up before the question that it follows; what only limits that one opens it."""
    topic = _topic(recent, corpus)
    opening, said = _limit(question.text, corpus)
    if _EXAMPLE.search(question.text) and not covers(f"{opening}{topic}"):
        opening, said = "", question.text
    if not opening or _telling(said):
        topic = f"{said} {topic}"
    phases = _phases(question, corpus) or recent[-1].phases
    return Reading(f"{opening}{topic}"[:MAX_CHARS], phases)


def _topic(recent: Sequence[Answer], corpus: Corpus) -> str:
    """What the conversation is about: the last question that was about something by itself."""
    for answer in reversed(recent):
        if answer.read_as == answer.question and not _refers_back(answer.question):
            return without_scope(answer.question, corpus)
    return without_scope(recent[-1].read_as, corpus)


def _limit(text: str, corpus: Corpus) -> tuple[str, str]:
    """The opening that limits an answer as the follow-up does, and what else the follow-up says."""
    match = _AUTHORITY.search(text)
    if match and named_sources(match[0], corpus):
        article = "the " if match[0].casefold() in ("gdpr", "ai act") else ""
        return f"According to {article}{match[0]}: ", text.replace(match[0], "")
    for opening, pattern in _LIMITS.items():
        if pattern.search(text):
            return f"{opening}: ", pattern.sub("", text)
    return "", text


def _phases(question: Question, corpus: Corpus) -> tuple[str, ...]:
    """The phase that a follow-up turns to; empty if it turns to none."""
    for phase, pattern in _AROUND_RELEASE.items():
        if phase in corpus.taxonomy.phases and pattern.search(question.text):
            return (phase,)
    lowered = question.text.casefold()
    named = (key for key in corpus.taxonomy.phases if key.replace("-", " ") in lowered)
    return tuple(named)[:1] or question.phases
