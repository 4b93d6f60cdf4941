"""How good the checker is: ``python -m evals checker``.

Labelled pairs of a sentence and the quotes it cites, supported or with one thing wrong. Thresholds
were fitted on the pairs marked dev; what is reported comes from provisions that are held out. Then
every sentence of the corpus is altered mechanically and checked against itself.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assistant.checking import FITTED, Embed, Thresholds, check
from assistant.documents import Corpus
from assistant.embedding import Embedder, Vectors

PAIRS = Path(__file__).resolve().parent / "checker" / "pairs.jsonl"
GRID = {
    "word": (0.5, 0.55, 0.6, 0.65, 0.7, 0.75),
    "sentence": (0.35, 0.45, 0.55, 0.65),
    "covered": (0.5, 0.6, 0.7, 0.8),
}
SUPPORTED = "supported"
PARAPHRASED = ("added", "memory", "scope", "opposite", "actor", "swap")
"""Faults that are claims in other words; the rest alter an exact value."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence with the quotes that it cites; fault: what is wrong with it, or SUPPORTED."""

    id: str
    split: str
    provision: str
    quotes: tuple[str, ...]
    sentence: str
    fault: str


def load_pairs(split: str | None = None) -> list[Pair]:
    """The labelled pairs, or those of a split ("dev", "held-out")."""
    rows = map(json.loads, PAIRS.read_text("utf-8").splitlines())
    pairs = [Pair(**(row | {"quotes": tuple(row["quotes"])})) for row in rows]
    return [pair for pair in pairs if split in (None, pair.split)]


def remembering(embedder: Embedder) -> Embed:
    """Embeds each text once."""
    known: dict[str, Vectors] = {}

    def embed(texts: Sequence[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, embedder.embed(new), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def passed(
    pairs: Iterable[Pair], embed: Embed, thresholds: Thresholds = FITTED
) -> dict[str, list[bool]]:
    """Fault (or SUPPORTED) -> whether each of its pairs passed the checker."""
    found: dict[str, list[bool]] = {}
    for pair in pairs:
        verdict = check(pair.sentence, pair.quotes, (), embed, thresholds)
        found.setdefault(pair.fault, []).append(verdict.passed)
    return found


def fit(embed: Embed) -> Thresholds:
    """The thresholds that let most supported development pairs pass and fewest faults.

    No faults beyond those that the strictest thresholds let pass; among equals the strictest.
    """
    candidates = [Thresholds(*values) for values in itertools.product(*GRID.values())]
    pairs = load_pairs("dev")

    def worth(thresholds: Thresholds) -> tuple[float, ...]:
        found = passed(pairs, embed, thresholds)
        faults = sum(sum(marks) for fault, marks in found.items() if fault != SUPPORTED)
        strictness = thresholds.word + thresholds.sentence + thresholds.covered
        return (-faults, sum(found[SUPPORTED]), strictness)

    return max(candidates, key=worth)


def figures(found: dict[str, list[bool]]) -> dict[str, Any]:
    """Precision and recall of "passed" as a sign of "supported", and what passed by fault."""
    right = sum(found[SUPPORTED])
    faults = {fault: marks for fault, marks in sorted(found.items()) if fault != SUPPORTED}
    wrong = sum(map(sum, faults.values()))
    return {
        "supported": len(found[SUPPORTED]),
        "faulty": sum(map(len, faults.values())),
        "recall": right / len(found[SUPPORTED]),
        "precision": right / (right + wrong),
        "passed": {fault: [sum(marks), len(marks)] for fault, marks in faults.items()},
    }


def _digits(place: int) -> Callable[[str], str]:
    def alter(text: str) -> str:
        found = list(re.finditer(r"\d", text))
        if not found:
            return text
        at = found[place].start()
        return f"{text[:at]}{(int(text[at]) + 3) % 10}{text[at + 1 :]}"

    return alter


_VERB = r"\b(does|do|did|is|are|may|must|should|can)"
_WEAKER = {"must": "should", "should": "must", "may": "must"}
MECHANICAL: dict[str, Callable[[str], str]] = {
    "first digit": _digits(0),
    "last digit": _digits(-1),
    "negation dropped": lambda text: re.sub(rf"{_VERB} not\b", r"\1", text, count=1),
    "negation added": lambda text: re.sub(rf"{_VERB}\b(?! not)", r"\1 not", text, count=1),
    "obligation": lambda text: re.sub(
        r"\b(must|should|may)\b", lambda match: _WEAKER[match[1]], text, count=1
    ),
    "code": lambda text: re.sub(r"`([^`]{2,})[^`]`", r"`\1x_`", text, count=1),
}
"""One thing altered in a sentence; unchanged where it holds no such thing."""


def mechanical(corpus: Corpus) -> dict[str, list[int]]:
    """Alteration -> (how many passed, how many were made) over all sentences of the corpus.

    What is exact is decided by rules alone, so no embedding is needed.
    """
    made: Counter[str] = Counter()
    through: Counter[str] = Counter()
    for document in corpus.documents:
        for segment in itertools.chain.from_iterable(
            provision.segments for provision in document.provisions
        ):
            quote = document.quote(segment)
            altered = {name: alter(quote) for name, alter in MECHANICAL.items()}
            for name, text in ({"unaltered": quote} | altered).items():
                if name == "unaltered" or text != quote:
                    made[name] += 1
                    through[name] += check(text, (quote,), (), _alike).passed
    return {name: [through[name], made[name]] for name in made}


def _alike(texts: Sequence[str]) -> Vectors:
    return np.ones((len(texts), 1), np.float32)


def markdown(result: dict[str, Any]) -> str:
    """The figures as tables."""
    held = result["held-out"]
    lines = [
        f"{held['supported'] + held['faulty']} held-out pairs ({held['supported']} supported, "
        f"{held['faulty']} with one thing wrong): precision {held['precision']:.1%}, "
        f"recall {held['recall']:.1%}.",
        "",
        "| one thing wrong | passed | of |",
        "|---|---:|---:|",
        *(f"| {fault} | {count} | {of} |" for fault, (count, of) in held["passed"].items()),
        "",
        "| every sentence of the corpus | passed | of |",
        "|---|---:|---:|",
        *(f"| {name} | {count} | {of:,} |" for name, (count, of) in result["mechanical"].items()),
    ]
    return "\n".join(lines)
