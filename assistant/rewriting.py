"""A follow-up -> the question on its own, as a language model puts it.

The model is not trusted: what it writes is taken only if it is one question in words that were asked,
which keeps what the follow-up says and names nothing but what was cited. Else the rules' reading stands,
as it does where the model fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace

from assistant.checking import stem
from assistant.code_context import CodeContext
from assistant.conversation import (
    FILLER,
    HISTORY,
    Covers,
    Reading,
    leaves_open,
    read_in_context,
    telling_words,
)
from assistant.documents import Corpus, find_mentions
from assistant.generation import LanguageModel, ModelFailure
from assistant.prompts import gives_orders, rewriting, whole_characters
from assistant.questions import clean_text, content_words, read_question, without_scope
from assistant.types import Answer, Reply

MAX_REWRITTEN = 400
"""How many characters a rewritten question may have."""
# Besides function words, what any question may say.
_FREE = FILLER | {"against", "between", "during", "instead", "mean", "regarding", "while"}
_FREE_STEMS = frozenset(map(stem, _FREE))
_PART = re.compile(r"[^\W_]+")
_PUNCTUATION = frozenset(" ,.;:?!'’\"“”()/&%–-_")


def read_follow_up(
    text: str,
    history: Sequence[Answer],
    corpus: Corpus,
    covers: Covers,
    code: CodeContext | None,
    model: LanguageModel | None,
    deadline: float,
) -> tuple[Reading, Reply | None]:
    """What a question means after the answers of ``history``, and what a model sent to say so.

    A model is asked only where the rules read a follow-up, and no question looks like an order to it;
    the reply is None where it was not asked, and its failure says why the rules' reading was kept.
    deadline: by ``time.monotonic``.

    Raises QuestionError as ``read_in_context`` does.
    """
    reading = read_in_context(text, history, corpus, covers, code)
    follow_up, recent = clean_text(text), history[-HISTORY:]
    said = (follow_up, *(answer.read_as for answer in recent))
    if model is None or reading.text == text or any(map(gives_orders, said)):
        return reading, None
    reply = _ask(model, follow_up, recent, deadline)
    if not reply.failure:
        try:
            return _checked(reply.text, follow_up, reading, recent, corpus), reply
        except ModelFailure as failure:
            reply = replace(reply, failure=str(failure))
    return reading, reply


def _ask(model: LanguageModel, follow_up: str, recent: Sequence[Answer], deadline: float) -> Reply:
    text = ""
    try:
        with closing(model.stream(rewriting(follow_up, recent), deadline)) as pieces:
            for piece in pieces:
                text += whole_characters(piece)
                if len(text) > MAX_REWRITTEN:
                    raise ModelFailure("wrote more than a question")
    except ModelFailure as failure:
        return Reply(text, str(failure))
    return Reply(text, "")


def _checked(
    reply: str, follow_up: str, reading: Reading, recent: Sequence[Answer], corpus: Corpus
) -> Reading:
    """What a model's reply means, instead of the rules' reading; raises ModelFailure if it may not.

    What limits the answer, the rules read off the follow-up: "According to the law: …" is kept.
    """
    if "\n" in reply.strip():
        raise ModelFailure("wrote several lines")
    said = clean_text(reply).strip('"“”')
    cited = _cited(recent)
    pointed = [name for name in cited if name in clean_text(reading.text)]
    if said.casefold() == follow_up.casefold():
        if pointed or leaves_open(follow_up, corpus):
            raise ModelFailure("repeated what cannot be understood by itself")
        return Reading(follow_up)
    asked = [answer.read_as for answer in recent]
    told = " ".join((follow_up, reading.text, *asked))
    plain = _without(said, cited)
    _form(said, plain, follow_up)
    _nothing_new(plain, told, cited, corpus)
    opening = reading.text.removesuffix(without_scope(reading.text, corpus))
    whole = said if without_scope(said, corpus) != said else opening + said
    if read_question(whole, corpus).scope != read_question(reading.text, corpus).scope:
        raise ModelFailure("limited the answer otherwise than was asked")
    if missing := [name for name in pointed if name not in said]:
        raise ModelFailure(f"left out {missing[0]}")
    kept = _stems(whole)
    left_out = [word for word in telling_words(follow_up) if not _stems(word) <= kept]
    if left_out and not pointed:
        raise ModelFailure(f"left out '{left_out[0]}'")
    topic = _stems(" ".join(content_words(" ".join(asked))))
    if plain == said and kept.isdisjoint(topic):
        raise ModelFailure("left out what was asked before")
    return replace(reading, text=whole)


def _cited(recent: Iterable[Answer]) -> set[str]:
    """The ids of all that was cited, or named as a topic instead."""
    places = [(entry.source_id, entry.locator) for turn in recent for entry in turn.citations]
    places += [(entry.source_id, entry.locator) for turn in recent for entry in turn.nearest]
    return {clean_text(f"{source}#{locator}") for source, locator in places}


def _without(said: str, cited: set[str]) -> str:
    """A text without the ids of what was cited."""
    for name in sorted(cited, key=len, reverse=True):
        said = said.replace(name, " ")
    return said


def _form(said: str, plain: str, follow_up: str) -> None:
    odd = {sign for sign in plain if not sign.isalnum()} - _PUNCTUATION - set(follow_up)
    if odd or not said.endswith("?") or not content_words(said):
        raise ModelFailure("wrote nothing" if not said else "wrote no plain question")


def _nothing_new(plain: str, told: str, cited: set[str], corpus: Corpus) -> None:
    """Identifiers and words have to be those of the conversation; numbers and names exactly."""
    known = {mention.provision_id for mention in find_mentions(told, corpus.identifiers)}
    for mention in find_mentions(plain, corpus.identifiers):
        if mention.provision_id not in known | cited:
            raise ModelFailure(f"named {mention.text}, which nobody had named")
    words, known_stems = set(content_words(told)), _stems(told) | _FREE_STEMS
    for word in content_words(plain):
        exact = any(sign.isdigit() for sign in word)
        if word not in words and (exact or not _stems(word) <= known_stems):
            raise ModelFailure(f"wrote '{word}', which nobody had said")


def _stems(text: str) -> set[str]:
    """The stems of the words of a text and of their parts."""
    return set(map(stem, _PART.findall(text)))
