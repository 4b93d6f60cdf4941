"""Train ``index/question-adapter.safetensors``: ``python -m evals adapt-questions``.

What is asked gets an encoder of its own: low-rank changes on top of those of ``evals.adapt``, while the
vectors of the corpus stay as they are (query-side fine-tuning, as in Karpukhin et al. 2020 and Izacard
et al. 2022). So each step compares a question with all provisions, not with a batch of them: their
scores are weighted sums of the best cosines of passages, questions answered and sentences, as in
retrieval, and the loss is the listwise cross-entropy with the question's grades (ListNet, Cao et al.
2007).

Questions: those of the corpus, each without its own vector among those compared, and the judged ones of
``evals/questions/training.jsonl``. The former name one provision only, so that part of their target is what
the encoder ranked before. No development or held-out question is read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from assistant.index import Index
from assistant.retrieval import TEXTS
from evals.adapt import descend, embed, save_changes, with_changes
from evals.questions import EvalQuestion

RANK = 32
EPOCHS = 3
BATCH = 64
RATE = 5e-4
TOKENS = 64
SCALE = 22.4
"""The inverse of the temperature of the softmax over provisions."""
BEFORE, BEFORE_SCALE = 0.15, 28.0
"""The share of what was ranked before in the target of a question that was not judged, and its scale."""
JUDGED = 8.0
"""How many questions a judged one counts for."""
PARTS = {"passage": 0.38, "ask": 0.32, "segment": 0.30}
"""Weights of the best cosines, in the proportions of ranking.json when this was first trained."""


@dataclass(frozen=True, slots=True)
class _Example:
    """A question, its gain by provision number, and its own row among the vectors, or -1."""

    question: str
    gains: Mapping[int, float]
    row: int
    judged: bool


class _Scorer:
    """Scores of all provisions for question vectors, shape (questions, provisions)."""

    def __init__(self, index: Index) -> None:
        dimension = index.vectors.shape[1]
        self._vectors = torch.cat([torch.tensor(index.vectors), torch.zeros(1, dimension)])
        self._rows = {
            signal: self._padded(
                [[row for part in parts for row in rows[part]] for rows in index.rows_of]
            )
            for signal, parts in TEXTS.items()
        }

    def _padded(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Rows of each provision, shape (provisions, most rows); the row of zeros fills up."""
        table = np.full((len(rows), max(map(len, rows))), len(self._vectors) - 1)
        for place, entry in enumerate(rows):
            table[place, : len(entry)] = entry
        return torch.tensor(table)

    def __call__(self, questions: torch.Tensor, batch: Sequence[_Example]) -> torch.Tensor:
        own = torch.zeros(len(batch), len(self._vectors))
        for place, example in enumerate(batch):
            if example.row >= 0:
                own[place, example.row] = 2.0
        cosines = questions @ self._vectors.T - own
        best = (
            weight * cosines[:, self._rows[part]].amax(2).clamp(min=0.0)
            for part, weight in PARTS.items()
        )
        return torch.stack(list(best)).sum(0)


def train_questions(
    model: SentenceTransformer,
    index: Index,
    judged: Sequence[EvalQuestion],
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Train the adapter on top of ``model``, which is that of the index, and write it to ``path``.

    ``progress`` is called with the steps done and in all. Takes about ten minutes on two cores.
    """
    random.seed(0)
    torch.manual_seed(0)
    examples = _examples(index, judged)
    scorer = _Scorer(index)
    with torch.no_grad():
        before = torch.cat(
            [
                embed(
                    model, [example.question for example in examples[start : start + BATCH]], TOKENS
                )
                for start in range(0, len(examples), BATCH)
            ]
        )
    layers = with_changes(model[0].auto_model, RANK)
    steps = EPOCHS * (len(examples) // BATCH)
    losses = (
        _step(model, scorer, before[places], [examples[place] for place in places])
        for _ in range(EPOCHS)
        for places in _batches(examples)
    )
    descend(layers, losses, steps, RATE, progress)
    save_changes(layers, path)


def _examples(index: Index, judged: Sequence[EvalQuestion]) -> list[_Example]:
    corpus, examples = index.corpus, []
    for number, provision in enumerate(corpus.provisions):
        same = {
            index.number[link.object]: 1.0
            for link in corpus.related.get(provision.id, ())
            if link.match in ("exact", "close")
        }
        gains = same | {number: 3.0}
        texts = (*provision.asks, *corpus.asked.get(provision.id, ()))
        rows = index.rows_of[number]["ask"] + index.rows_of[number]["asked"]
        examples += [
            _Example(text, gains, row, False) for text, row in zip(texts, rows, strict=True)
        ]
    for question in judged:
        gains = {index.number[gold.id]: 2.0**gold.grade - 1 for gold in question.gold}
        examples.append(_Example(question.question, gains, -1, True))
    return examples


def _batches(examples: Sequence[_Example]) -> list[list[int]]:
    """Batches of questions as long as each other, in random order."""
    shuffled = random.sample(range(len(examples)), len(examples))
    batches = []
    for start in range(0, len(shuffled), 16 * BATCH):
        part = sorted(shuffled[start : start + 16 * BATCH], key=lambda i: len(examples[i].question))
        batches += [part[i : i + BATCH] for i in range(0, len(part) - BATCH + 1, BATCH)]
    random.shuffle(batches)
    return batches


def _step(
    model: SentenceTransformer, scorer: _Scorer, before: torch.Tensor, batch: Sequence[_Example]
) -> torch.Tensor:
    vectors = embed(model, [example.question for example in batch], TOKENS)
    return _loss(scorer(vectors, batch), scorer(before, batch), batch)


def _loss(scores: torch.Tensor, before: torch.Tensor, batch: Sequence[_Example]) -> torch.Tensor:
    gains = torch.zeros_like(scores)
    for place, example in enumerate(batch):
        for number, gain in example.gains.items():
            gains[place, number] = gain
    judged = torch.tensor([example.judged for example in batch])
    share = torch.where(judged, 0.0, BEFORE)[:, None]
    ranked = torch.softmax(before.detach() * BEFORE_SCALE, 1)
    target = (1 - share) * gains / gains.sum(1, keepdim=True) + share * ranked
    losses = -(target * torch.log_softmax(scores * SCALE, 1)).sum(1)
    weights = torch.where(judged, JUDGED, 1.0)
    return (losses * weights).sum() / weights.sum()
