"""A question as text -> what can be read off it: words, identifiers, phase, concerns, language.

Code that comes with it adds what it shows: the questions that a developer of such code should ask.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace

from assistant.code_context import CodeContext, notice
from assistant.documents import (
    Corpus,
    Mention,
    find_mentions,
    looks_suspicious,
    named_elsewhere,
)
from assistant.errors import QuestionError
from assistant.taxonomy import Taxonomy, Term
from assistant.types import Noticed, Provision

MAX_CHARS = 2000
_WORD = re.compile(r"[^\W_](?:[\w.+/-]*[^\W_])?|[^\W_]")
_STOP = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "anyone",
        "anything",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "but",
        "by",
        "can",
        "cannot",
        "cant",
        "could",
        "d",
        "did",
        "do",
        "does",
        "doesn",
        "doing",
        "don",
        "done",
        "dont",
        "else",
        "even",
        "ever",
        "every",
        "for",
        "from",
        "get",
        "gets",
        "getting",
        "give",
        "go",
        "going",
        "got",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hi",
        "hello",
        "hey",
        "him",
        "his",
        "how",
        "i",
        "i'd",
        "i'm",
        "i've",
        "if",
        "im",
        "in",
        "into",
        "is",
        "isn",
        "it",
        "it's",
        "its",
        "just",
        "know",
        "let",
        "lets",
        "like",
        "ll",
        "m",
        "make",
        "many",
        "may",
        "maybe",
        "me",
        "might",
        "more",
        "most",
        "much",
        "must",
        "my",
        "need",
        "needs",
        "no",
        "not",
        "now",
        "of",
        "off",
        "ok",
        "okay",
        "on",
        "one",
        "ones",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "please",
        "put",
        "re",
        "really",
        "s",
        "same",
        "say",
        "says",
        "shall",
        "she",
        "should",
        "so",
        "some",
        "someone",
        "something",
        "still",
        "such",
        "sure",
        "t",
        "take",
        "than",
        "that",
        "that's",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "thing",
        "things",
        "think",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "us",
        "use",
        "used",
        "using",
        "ve",
        "very",
        "via",
        "want",
        "wants",
        "was",
        "wasn",
        "way",
        "we",
        "well",
        "were",
        "what",
        "what's",
        "when",
        "where",
        "whether",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "within",
        "without",
        "won",
        "would",
        "yes",
        "yet",
        "you",
        "your",
        "tell",
        "explain",
        "thanks",
        "thank",
    ]
)
# The commonest words of languages that share English's letters; two of them and hardly an English
# one make a question foreign.
_FOREIGN: Mapping[str, frozenset[str]] = {
    "German": frozenset(["der", "die", "das", "und", "ist", "nicht", "ich", "wir", "ein", "eine", "einen", "für", "mit", "wie", "kann", "darf", "muss", "müssen", "auf", "von", "zu", "den", "dem", "wenn", "welche", "was", "sind", "wird", "werden", "mein", "unser"]),
    "French": frozenset(["le", "la", "les", "des", "une", "est", "et", "je", "nous", "vous", "pour", "avec", "dans", "que", "qui", "quoi", "comment", "puis", "peut", "faut", "pas", "ce", "cette", "mon", "notre", "sur", "quels", "quelles", "sont", "du", "au", "un"]),
    "Spanish": frozenset(["el", "los", "las", "una", "es", "y", "yo", "para", "con", "en", "que", "como", "puedo", "debo", "no", "del", "al", "mi", "nuestro", "cuál", "qué", "por", "se", "son", "un", "modelo"]),
    "Italian": frozenset(["il", "lo", "gli", "una", "è", "e", "io", "per", "con", "che", "come", "posso", "devo", "non", "del", "della", "nel", "mio", "nostro", "quale", "sono", "un", "di"]),
    "Portuguese": frozenset(["o", "os", "as", "uma", "é", "e", "eu", "para", "com", "em", "que", "como", "posso", "devo", "não", "do", "da", "meu", "nosso", "qual", "são", "um"]),
    "Dutch": frozenset(["de", "het", "een", "en", "is", "niet", "ik", "wij", "voor", "met", "hoe", "kan", "mag", "moet", "op", "van", "te", "als", "welke", "wat", "zijn", "mijn", "onze"]),
}  # fmt: skip
_VENDOR = (
    r"(?:amazon|anthropic|apple|aws|azure|claude|copilot|cursor|deepseek|gemini|github|google|gpt[-\w.]*"
    r"|hugging ?face|meta|microsoft|mistral|nvidia|openai|qwen|xai)"
)
WISHES: Mapping[str, re.Pattern[str]] = {
    "price": re.compile(
        r"\b(?:pric(?:e|es|ing)|cheap\w*|salar\w+|budget|how much (?:do|does|is|are|will|would)\b"
        r"|(?:what|how much)\b[^.?]*\bcosts?\b)",
        re.I,
    ),
    "future": re.compile(
        r"^(?:and )?(?:(?:is|are) (?:there|it|they) going to|will|when will|when is|when does|who will)\b|\bnext (?:year|month|quarter)\b"
        r"|\b(?:release date|roadmap|upcoming|going to be released)\b"
        r"|^(?:what|which|how)\b[^.?]*\bwill (?:my|our|we)\b",
        re.I,
    ),
    "outcome": re.compile(
        r"^(?:what|which|how)\b[^.?]*\b(?:accura\w+|precision|recall|f1|score|rates?|latency|fast|well|good)\b"
        r"[^.?]*\bwill (?:my|our|we)\b",
        re.I,
    ),
    "ranking": re.compile(
        r"\b(?:which|what|whats|who)\b[^.?]*\b(?:best|better|safest|fastest|lowest|highest|strongest|"
        r"most (?:accurate|secure|popular|reliable))\b|\btop \d+\b|\b\w+ (?:vs\.?|versus) \w+[^.?]*\bbetter\b",
        re.I,
    ),
    "inside": re.compile(
        r"^(?:why )?(?:did|has|have|does|was|were) (?:our|my|the|we|someone|somebody|anyone)\b"
        r"|^(?:where|who)\b[^.?]*\b(?:our|my|we)\b|\bhow many [^.?]*\b(?:our|we)\b"
        r"|^(?:is|are) (?:our|my)\b[^.?]*\b(?:accurate|better|biased|drifting|fair|good enough|worse)\b"
        r"|\bin our (?:company|team|organi[sz]ation|org|repo|department)\b",
        re.I,
    ),
    "vendor": re.compile(
        rf"\b{_VENDOR}\b[^.?]*\b(?:behind the scenes|internal(?:ly)?|keep a copy|really|secretly|signed)\b"
        rf"|\b(?:inside|internal to) {_VENDOR}\b|\bbehind the scenes\b|\bword for word\b"
        r"|\b(?:exact|exactly|hidden)\b[^.?]*\b(?:parameters|system prompt|thresholds?|training data|weights)\b"
        r"|\b(?:in|into|are in) the training (?:data|set) of\b|\bhow many (?:experts|parameters)\b",
        re.I,
    ),
}
"""Questions for prices, the future, how one's own system will do, the best of something, facts of
one's own organisation, or what only a vendor knows."""
LAW = re.compile(
    r"\b(?:laws?|legal\w*|lawful\w*|gdpr|ai act|act|eu|europe\w*|must|obliged|obligations?|require[ds]?"
    r"|allowed|permitted|forbidden|prohibited|banned|fine[sd]|penalt\w+|liab\w+|compl(?:y|iance|iant)"
    r"|regulat\w+|consent|rights?|dut(?:y|ies)|owe|on the hook|notified body|conformity|mandatory|have to"
    r"|do we need to (?:tell|notify|disclose|inform|keep|report))\b",
    re.I,
)
"""What a question about duties says."""
EVENTS = re.compile(
    r"\b(?:happen(?:ed|s)?|incidents?|cases?|stud(?:y|ies)|research|evidence|examples?|anybody|anyone"
    r"|somebody else|real[- ]world|ever)\b",
    re.I,
)
"""What a question about incidents or studies says."""
_VAGUE = frozenset(
    [
        "alright", "anything", "attention", "bad", "best", "careful", "change", "check", "checks",
        "class", "code", "comment", "comments", "commit", "concern", "concerns", "config",
        "configuration", "consider", "correct", "could", "danger", "dangerous", "dependencies",
        "dockerfile", "done", "enough", "everything", "feedback", "file", "fine", "function", "good",
        "great", "here", "improve", "issue", "issues", "look", "looking", "looks", "manifest", "merge",
        "mind", "module", "notebook", "oke", "opinion", "packages", "possible", "problem", "problems",
        "prod", "production", "push", "ready", "respect", "review", "right", "risk", "risks", "risky",
        "safe", "script", "secure", "security", "see", "seem", "setup", "ship", "snippet", "thoughts",
        "unsafe", "watch", "well", "workflow", "worry", "wrong"
    ]
)  # fmt: skip
"""What a question says that leaves to the code what it is about."""
_POINTS = re.compile(
    r"\b(?:this|these|here|it(?! (?:\w+ ){1,2}(?:to|that|if)\b)|that(?=\W*$))\b", re.IGNORECASE
)
"""How a question points at the code beside it."""
_OWN_WORDS = 4
"""How many content words of its own a question that leans on its code has at most."""
_STEERING = 3
"""How many signs steer retrieval, the most telling first; more of them blur what is asked."""
_TELLING = 2
"""How many content words have to be left of a question whose orders are passed over."""
_SENTENCES = re.compile(r"(?<=[.!?:;])\s+|\n+")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|`[^`]*`")
_ENGLISH = _STOP | {"load", "model", "agent", "data", "safe", "ai"}

_SCOPED = re.compile(r"(?:according to|in) (?P<named>(?:the )?[\w ]{2,40}): (?=.*\w)", re.I)
_KINDS: Mapping[str, str] = {
    "the law": "law",
    "standards": "standard",
    "guidelines": "guideline",
    "studies": "study",
    "incidents": "incident",
    "tool documentation": "tool-doc",
}
_JURISDICTIONS: Mapping[str, str] = {
    "the eu": "EU",
    "the us": "US",
    "australia": "AU",
    "singapore": "SG",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What the opening of a question limits its answer to; all empty if it has no such opening.

    named: as the opening says it, such as "the law". kinds, jurisdictions, sources: what that means.
    """

    named: str = ""
    kinds: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what was read off it.

    text: cleaned: control characters and runs of white space are single spaces.
    scope: what an opening such as "According to the law:" or "In the US:" limits the answer to.
    asked: what is looked for: the text without that opening and without ids of provisions; where the
        question leaves to its code what it is about, what its developer should ask.
    provisions: provisions whose whole id (``source-id#locator``) it names.
    words: content words of ``asked``, in order, lower case, without repeats.
    phases: those whose synonyms it uses, the most often named first; empty if none stands out.
    concerns: those whose synonyms it uses.
    language: name of the language if it does not seem to be English, else None.
    elsewhere: laws and standards that it names and no source digests.
    wishes: which of WISHES it seems to ask for: things that no published source can know.
    law, events: whether it is put like a question about duties, about incidents or studies.
    noticed: what the code shows that came with it.
    leans: whether it leaves to that code what it is about.
    """

    text: str
    scope: Scope
    asked: str
    provisions: tuple[Provision, ...]
    words: tuple[str, ...]
    mentions: tuple[Mention, ...]
    phases: tuple[str, ...]
    concerns: tuple[str, ...]
    language: str | None
    elsewhere: tuple[str, ...]
    wishes: tuple[str, ...]
    law: bool
    events: bool
    noticed: tuple[Noticed, ...] = ()
    leans: bool = False


def read_question(text: str, corpus: Corpus, code: CodeContext | None = None) -> Question:
    """Clean a question and read it, together with the code that it is about.

    Raises QuestionError if it is empty, holds no letter or digit, or is longer than MAX_CHARS.
    """
    if len(text) > MAX_CHARS:
        raise QuestionError(
            f"The question has {len(text):,} characters; at most {MAX_CHARS:,} are taken. Shorten it."
        )
    clean = clean_text(text)
    if not any(character.isalnum() for character in clean):
        raise QuestionError(
            "The question is empty. Ask something, such as: May I load a .bin checkpoint?"
        )
    scope, asked = _scope(clean, corpus)
    provisions, asked = _provisions(asked, corpus)
    asked = _without_orders(asked)
    mentions = find_mentions(asked, corpus.identifiers)
    question = Question(
        text=clean,
        scope=scope,
        asked=asked,
        provisions=provisions,
        words=content_words(asked),
        mentions=mentions,
        phases=_phases(asked, corpus.taxonomy.phases),
        concerns=named_concerns(asked, corpus.taxonomy),
        language=None if mentions or provisions else _foreign(asked),
        elsewhere=named_elsewhere(asked, corpus.elsewhere),
        wishes=tuple(name for name, pattern in WISHES.items() if pattern.search(asked)),
        law=bool(LAW.search(asked)),
        events=bool(EVENTS.search(asked)),
    )
    return question if code is None else _steered(question, code, corpus)


def _without_orders(asked: str) -> str:
    """A question without its sentences that give orders to an assistant, where others remain.

    They are no part of what is asked, and would be searched for. What is quoted is spoken of.
    """
    parts = _SENTENCES.split(asked)
    kept = [part for part in parts if not looks_suspicious(_QUOTED.sub("", part))]
    rest = " ".join(kept)
    dropped = len(kept) < len(parts) and len(content_words(rest)) >= _TELLING
    return rest if dropped else asked


def _steered(question: Question, code: CodeContext, corpus: Corpus) -> Question:
    """The question with what its code shows.

    A question that says nothing of its own is read as what developers of such code should ask; one
    that says little and points at the code, or shares a word with that, as both. Any other keeps its
    meaning. What is the case inside ("does my loader …") the code does show.
    """
    noticed = notice(code, corpus.code_signs)
    names = list(dict.fromkeys(entry.name for entry in noticed))[:_STEERING]
    signs = [sign for sign in corpus.code_signs.signs if sign.id in names]
    if not signs:
        return question
    wishes = tuple(wish for wish in question.wishes if wish != "inside")
    seen = replace(question, noticed=noticed)
    own = set(question.words) - _VAGUE
    asks = [sign.ask for sign in signs]
    near = bool(_POINTS.search(question.asked)) or own.intersection(content_words(" ".join(asks)))
    if own and (len(own) > _OWN_WORDS or not near):
        return seen
    if wishes or question.mentions or question.provisions or question.elsewhere:
        return seen
    asked = " ".join([question.asked, *asks] if own else asks)
    phases = question.phases or signs[0].phases[:2]
    concerns = dict.fromkeys([*question.concerns, *(sign.concerns[0] for sign in signs)])
    return replace(
        seen,
        asked=asked,
        words=content_words(asked),
        phases=phases,
        concerns=tuple(concerns),
        wishes=(),
        leans=True,
    )


def _scope(text: str, corpus: Corpus) -> tuple[Scope, str]:
    """What the opening limits the answer to, and the rest; an opening that names nothing is text."""
    match = _SCOPED.match(text)
    if match is None:
        return Scope(), text
    named = match["named"].casefold()
    rest = text[match.end() :]
    if named in _KINDS:
        return Scope(match["named"], kinds=(_KINDS[named],)), rest
    if named in _JURISDICTIONS:
        return Scope(match["named"], jurisdictions=(_JURISDICTIONS[named],)), rest
    sources = named_sources(named.removeprefix("the "), corpus)
    return (Scope(match["named"], sources=sources), rest) if sources else (Scope(), text)


def without_scope(text: str, corpus: Corpus) -> str:
    """A question without an opening that limits its answer."""
    return _scope(text, corpus)[1]


def named_sources(name: str, corpus: Corpus) -> tuple[str, ...]:
    """Ids of the sources that have the name ("gdpr", "ai act", "owasp") in them; laws before others."""
    key = f"-{name.casefold().replace(' ', '-')}-"
    found = [entry.source for entry in corpus.documents if key in f"-{entry.source.id}-"]
    laws = [source.id for source in found if source.kind == "law"]
    return tuple(laws or [source.id for source in found])


def _provisions(text: str, corpus: Corpus) -> tuple[tuple[Provision, ...], str]:
    """The provisions whose ids stand in a text, and the text without these ids."""
    found: list[Provision] = []
    for source in re.findall(r"([\w-]+)#", text):
        document = corpus.by_source.get(source)
        named = {
            match[0]: provision
            for provision in (document.provisions if document else ())
            if (match := re.search(rf"{re.escape(clean_text(provision.id))}(?![\w(])", text))
        }
        if named:
            written = max(named, key=len)
            found.append(named[written])
            text = " ".join(text.replace(written, "", 1).split())
    return tuple(found), text


def clean_text(text: str) -> str:
    """Compose characters, drop invisible ones, make control characters and runs of space one space."""
    composed = unicodedata.normalize("NFKC", text)
    visible = "".join(
        " " if unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"} else character
        for character in composed
        if unicodedata.category(character) not in {"Cf", "Cn", "Co"}
    )
    return " ".join(visible.split())


def content_words(text: str) -> tuple[str, ...]:
    """Lower-case words without function words, in order of first use."""
    words = (word.casefold().strip(".-/+") for word in _WORD.findall(text.replace("’", "'")))
    return tuple(dict.fromkeys(word for word in words if word and word not in _STOP))


def named_concerns(text: str, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The concerns whose vocabulary a text uses, in the order of the taxonomy."""
    lowered = text.casefold()
    return tuple(key for key, term in taxonomy.concerns.items() if _weight(lowered, term))


def _weight(lowered: str, term: Term) -> float:
    """How much of a term's vocabulary a text uses; longer synonyms say more."""
    return sum(
        1.0 + 0.5 * synonym.count(" ")
        for synonym in term.synonyms
        if synonym in lowered and re.search(rf"(?<!\w){re.escape(synonym)}(?!\w)", lowered)
    )


def _phases(text: str, phases: Mapping[str, Term]) -> tuple[str, ...]:
    weights = {key: _weight(text.casefold(), term) for key, term in phases.items()}
    best = max(weights.values(), default=0.0)
    return tuple(key for key, weight in weights.items() if best and weight >= best)[:2]


def _foreign(text: str) -> str | None:
    letters = [character for character in text if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(character, "") for character in letters)
    if letters and latin < len(letters) / 2:
        return "a language not written in Latin letters"
    words = re.findall(r"[^\W\d_]+", text.casefold())
    english = sum(word in _ENGLISH for word in words)
    counts = {name: sum(word in common for word in words) for name, common in _FOREIGN.items()}
    name = max(counts, key=lambda key: counts[key])
    return name if counts[name] >= 2 and counts[name] > 2 * english else None
