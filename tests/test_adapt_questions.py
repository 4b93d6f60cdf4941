"""Training the encoder of questions: what a question is compared with."""

from __future__ import annotations

import torch

from assistant import Settings
from assistant.documents import Corpus
from assistant.index import build_index, open_index
from evals.adapt_questions import _Example, _Scorer
from tests.conftest import HashEmbedder


def test_a_question_is_not_compared_with_itself(
    small_corpus: Corpus, small_settings: Settings
) -> None:
    embedder = HashEmbedder()
    build_index(small_corpus, small_settings, embedder=embedder)
    with open_index(small_corpus, small_settings, embedder) as index:
        scorer = _Scorer(index)
        number = index.number["example-guideline#EX01"]
        row = index.rows_of[number]["ask"][-1]
        vector = torch.tensor(index.vectors[row])[None]
        (whole,) = scorer(vector, [_Example("", {}, -1, False)])
        (without,) = scorer(vector, [_Example("", {}, row, False)])
    assert whole.argmax() == number
    assert without[number] < whole[number] - 0.05
    others = torch.arange(len(whole)) != number
    assert torch.equal(without[others], whole[others])
