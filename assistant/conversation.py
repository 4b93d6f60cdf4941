"""A question and the answers before it -> the question on its own, by rules.

A follow-up ("and for deployment?", "what does the law say?", "more on [3]") takes its topic, its
phase and the provisions it points at from what was asked and cited. All that it means is written
into one question, which any answerer can be asked. A question that stands on its own is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assistant.code_context import CodeContext
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

Covers = Callable[[str], bool]
"""Whether the corpus covers a question as it stands; of a long one, its first MAX_CHARS."""
HISTORY = 6
"""How many of the latest answers a follow-up can refer to."""
STANDS = 3
"""From how many telling words on a question that refers to nothing is taken to stand on its own."""
_AFTER = " – "
"""Between a follow-up and the question that it comes after."""
_OPENS = re.compile(
    r"(?:(?:ok|okay|so|right|thanks|thank you|cool|hm+)[,. ]+)*"
    r"(?:and|but|or|also|then|what about|how about|what if|what of|same for|since when|why|how come)\b",
    re.I,
)
_WHOLE = re.compile(
    r"(?:how to|(?:how |when |where )?(?:do|can|may|must|should) (?:i|we|you)|what (?:is|are))\b",
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
# "Is it safe to …" and "on its own" refer to nothing that was said before.
_EMPTY = re.compile(
    r"\b(?:is|was|would|will|be|does) it (?:\w+ ){1,3}(?:to|that|if|when)\b|\bis it true\b"
    r"|\b(?:is|was) it (?:\w+ ){0,6}that\b|\b(?:is|was) it \d"
    r"|\bit is \w+ (?:to|that)\b|\bon (?:its|their) own\b",
    re.I,
)
# "… and it still …", "users that they …" and "their own …" are most often about what stands before.
_BOUND = re.compile(r"\b(?:(?:and|but|so|because|that|when|while|if) (?:it|they)|its|their)$", re.I)
_SENTENCE = re.compile(r"[.;:?!–](?= )")
_CLAUSE = re.compile(
    r"[,.;:?!–(]|\b(?:and|but|so|if|when|that|what|which|who|because|before|after|while|where|or"
    r"|once|to)\b",
    re.I,
)
FILLER = frozenset(
    ["advice", "another", "anybody", "applies", "apply", "case", "cases", "detail", "details", "elaborate", "exist", "exists", "find", "found", "further", "good", "happen", "happened", "help", "helps", "hold", "holds", "instance", "known", "look", "mention", "mentions", "obligation", "optional", "practice", "real", "recommended", "required", "work", "works"]
)  # fmt: skip
"""Words of a follow-up that say nothing besides what it points at or limits itself to."""
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
_MORE = re.compile(
    r"(?:please |can you |could you |and )*(?:tell me more|more(?: details?)?|elaborate|details?"
    r"|go on|explain(?: more| further)?)(?: (?:on|about) (?:it|that|this))?(?: please)?\W*",
    re.I,
)
_NUMBER = re.compile(
    r"(?:\[|#|\b(?:number|no\.?|point|item|source|citation|footnote|reference) )(\d{1,2})\b", re.I
)
_WHERE = r"(?i:\b(?:in|about|for|under|within) )"
_LIMITS: Mapping[str, re.Pattern[str]] = {
    "According to the law": re.compile(
        r"\b(?:laws?|legal|legally|required|mandatory|obligatory|regulations?|regulators?)\b", re.I
    ),
    "In incidents": re.compile(
        r"\b(?:incidents?|in the wild|(?:real )?examples?|real(?:-world)? cases?|happened"
        r"|(?:ever|already|really) (?:happen|hurt|harmed|gone wrong))\b",
        re.I,
    ),
    "In studies": re.compile(r"\b(?:stud(?:y|ies)|research|papers?)\b", re.I),
    "According to standards": re.compile(r"\bstandards?\b", re.I),
    "According to guidelines": re.compile(r"\b(?:guidelines?|guidance|best practices?)\b", re.I),
    "In the EU": re.compile(rf"{_WHERE}(?:the )?(?:EU|(?i:europe|european union|the eu))\b"),
    "In the US": re.compile(rf"{_WHERE}(?:(?:the )?(?:USA?|(?i:united states|america))|the us)\b"),
    "In Australia": re.compile(rf"{_WHERE}(?i:australia)\b"),
    "In Singapore": re.compile(rf"{_WHERE}(?i:singapore)\b"),
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
    text: str,
    history: Sequence[Answer],
    corpus: Corpus,
    covers: Covers,
    code: CodeContext | None = None,
) -> Reading:
    """What a question means after the answers of ``history``, oldest first; the last HISTORY count.

    One that leaves to its code what it is about means that code, unless it opens as a follow-up.

    Raises QuestionError as ``read_question`` does.
    """
    question = read_question(text, corpus, code)
    recent = history[-HISTORY:]
    if not recent or (question.leans and not _OPENS.match(question.text)):
        return Reading(text)
    pointed = None if question.mentions else _pointed_at(question.text, recent)
    if pointed:
        return Reading(f"What does {pointed} say?")
    unanswerable = question.wishes and not covers(question.text)
    if unanswerable or stands_alone(question, covers):
        return Reading(text)
    return _carried(question, recent, corpus, covers)


def stands_alone(question: Question, covers: Covers) -> bool:
    """Whether a question says what it is about, so that what was asked before has no part in it."""
    text = question.text
    if question.mentions or question.provisions or question.scope.named or _TURNS.search(text):
        return True
    if _refers_back(text):
        return False
    opens = bool(_OPENS.match(text))
    telling = len(telling_words(text))
    if telling == STANDS - 1 and not opens:
        return bool(question.concerns) or bool(_WHOLE.match(text) and covers(text))
    return telling >= STANDS + opens


def leaves_open(text: str, corpus: Corpus) -> bool:
    """Whether a question cannot be understood by itself, however its words are covered.

    It opens as a follow-up, refers back, only limits what was asked, or says nothing of its own.
    """
    limited = bool(_limit(text, corpus)[0])
    return limited or bool(_OPENS.match(text)) or _refers_back(text) or not telling_words(text)


def _refers_back(text: str) -> bool:
    """Whether a pronoun or the like has nothing before it in the question that it can stand for."""
    empty = [match.span() for match in _EMPTY.finditer(text)]
    for match in _BACK.finditer(text):
        before = text[: match.start()]
        bound = _BOUND.search(text[: match.end()]) and telling_words(before)
        explained = (
            bound
            or any(start <= match.start() < stop for start, stop in empty)
            or len(telling_words(_up_to(_SENTENCE, before))) > 0
            or len(telling_words(_up_to(_CLAUSE, before))) > 1
            or len(telling_words(before)) > STANDS
        )
        if not explained:
            return True
    return False


def _up_to(end: re.Pattern[str], text: str) -> str:
    """The text before the last match of a pattern; nothing if there is none."""
    return text[: max((match.start() for match in end.finditer(text)), default=0)]


def telling_words(text: str) -> tuple[str, ...]:
    """The content words of a follow-up that say what it is about, in order."""
    return tuple(word for word in content_words(text) if word not in FILLER)


def _pointed_at(text: str, recent: Sequence[Answer]) -> str | None:
    """The id of the provision that a question points at by its place or number, if it does.

    A number is that of a citation in the latest answer that has any; a place is counted in the
    statements of the last answer, or in the topics that it named instead.
    """
    match = _NUMBER.search(text)
    if match and _says_little_besides(match, 2):
        cited = next((answer for answer in reversed(recent) if answer.citations), recent[-1])
        number = int(match[1])
        return _cited(cited, number) if 0 < number <= len(cited.citations) else None
    answer = recent[-1]
    if _MORE.fullmatch(text) and answer.statements:
        return _cited(answer, answer.statements[0].citations[0])
    match = _PLACE.search(text)
    if match is None or not _says_little_besides(match, 1 if match["noun"] else 2):
        return None
    role = _NOUNS.get((match["noun"] or "").casefold())
    said = [entry for entry in answer.statements if entry.role == role] or answer.statements
    listed = [_cited(answer, statement.citations[0]) for statement in said] or [
        f"{topic.source_id}#{topic.locator}" for topic in answer.nearest
    ]
    place = match["place"].casefold()
    number = len(listed) - 1 if place == "last" else _ORDINALS.index(place)
    return listed[number] if 0 <= number < len(listed) else None


def _says_little_besides(match: re.Match[str], most: int) -> bool:
    """Whether a text holds at most so many telling words outside a match."""
    rest = match.string[: match.start()] + match.string[match.end() :]
    return len(telling_words(rest)) <= most


def _cited(answer: Answer, number: int) -> str:
    citation = answer.citations[number - 1]
    return f"{citation.source_id}#{citation.locator}"


def _carried(
    question: Question, recent: Sequence[Answer], corpus: Corpus, covers: Covers
) -> Reading:
    """The follow-up before the question that it follows; what only limits that one opens it."""
    topic = _topic(recent, corpus, covers)
    opening, said = _limit(question.text, corpus)
    if _EXAMPLE.search(question.text) and not covers(f"{opening}{topic}"):
        opening, said = "", question.text
    if not opening or telling_words(said):
        topic = f"{said}{_AFTER}{topic}"
    turned = () if opening else _phases(question, corpus)
    return Reading(f"{opening}{topic}"[:MAX_CHARS], turned or recent[-1].phases)


def _topic(recent: Sequence[Answer], corpus: Corpus, covers: Covers) -> str:
    """The last question that stood on its own, after what the last follow-up added to it."""
    last = recent[-1]
    root = next(
        (answer for answer in reversed(recent) if _is_root(answer, corpus, covers)), recent[0]
    )
    asked = without_scope(root.read_as, corpus)
    added = root is not last and last.read_as.startswith(f"{last.question}{_AFTER}")
    return f"{last.question}{_AFTER}{asked}" if added else asked


def _is_root(answer: Answer, corpus: Corpus, covers: Covers) -> bool:
    """Whether what was asked depended on nothing before it, or a model rewrote it so that it does not."""
    if answer.read_by:
        return not read_question(answer.read_as, corpus).provisions
    return answer.read_as == answer.question and stands_alone(
        read_question(answer.question[:MAX_CHARS], corpus), covers
    )


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
