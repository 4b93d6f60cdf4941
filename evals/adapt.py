"""Train ``index/adapter.safetensors``: ``python -m evals adapt``.

Low-rank changes (LoRA, Hu et al. 2021) to every linear layer of the bundled embedding model, by
contrastive learning with in-batch negatives (Henderson et al. 2017): a question that an author wrote
for a provision is to be nearer to its passage, and to its other questions, than to those of the rest of
the batch. Provisions that the crosswalk links are no negatives of each other. No evaluation question
is read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from torch.nn.functional import cross_entropy, normalize

from assistant.chunking import chunk_spans
from assistant.documents import Corpus
from assistant.types import Provision

RANK = 16
EPOCHS = 2
BATCH = 48
RATE = 4e-4
WARM_UP = 30
TEMPERATURE = 0.05
QUESTION_TOKENS, PASSAGE_TOKENS = 48, 128


class LowRank(torch.nn.Module):  # type: ignore[misc]
    """A linear layer with a trainable change ``up @ down`` beside its frozen weight."""

    def __init__(self, linear: torch.nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        scale = 1 / math.sqrt(linear.in_features)
        self.down = torch.nn.Parameter(torch.randn(rank, linear.in_features) * scale)
        self.up = torch.nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.linear(states) + (states @ self.down.T) @ self.up.T


class _Texts:
    """The texts of a corpus, and which provisions say the same."""

    def __init__(self, corpus: Corpus, max_chars: int) -> None:
        self.corpus, self.max_chars = corpus, max_chars
        links = [link for group in corpus.related.values() for link in group]
        self.linked = {(link.subject, link.object) for link in links}

    def passage(self, provision: Provision) -> str:
        """As it is embedded: its title, then its first chunk."""
        start, stop = next(iter(chunk_spans(provision, self.max_chars)))
        text = self.corpus.by_source[provision.source_id].text[start:stop]
        return f"{provision.title}\n{text}"

    def sibling(self, question: str, provision: Provision) -> str:
        """Another question that the provision answers; its title if there is none."""
        others = [text for text in provision.asks if text != question]
        return random.choice(others or [provision.title])

    def alike(self, batch: Sequence[Provision]) -> torch.Tensor:
        """Which pairs are no negatives, shape (batch, batch): the same or linked, off the diagonal."""
        pairs = [
            [one.id == other.id or (one.id, other.id) in self.linked for other in batch]
            for one in batch
        ]
        return torch.tensor(pairs) & ~torch.eye(len(pairs), dtype=torch.bool)


def train(
    model: SentenceTransformer,
    corpus: Corpus,
    max_chars: int,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Train an adapter for ``model`` on the corpus and write it, in half precision, to ``path``.

    ``progress`` is called with the steps done and in all. Takes about twenty minutes on two cores.
    """
    random.seed(0)
    torch.manual_seed(0)
    texts = _Texts(corpus, max_chars)
    layers = with_changes(model[0].auto_model, RANK)
    pairs = [(question, entry) for entry in corpus.provisions for question in entry.asks]
    losses = (
        _loss(model, texts, batch)
        for epoch in range(EPOCHS)
        for batch in _batches(pairs, by_concern=epoch % 2 == 0)
    )
    descend(layers, losses, EPOCHS * (len(pairs) // BATCH), RATE, progress)
    save_changes(layers, path)


def descend(
    layers: Mapping[str, LowRank],
    losses: Iterable[torch.Tensor],
    steps: int,
    rate: float,
    progress: Callable[[int, int], None],
) -> None:
    """Train changes of layers by AdamW, the rate rising over WARM_UP steps and then falling to the end.

    losses: one for each of ``steps``, each computed when it is asked for, after the step before it.
    """
    parameters = [value for layer in layers.values() for value in (layer.down, layer.up)]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    for step, loss in enumerate(losses, start=1):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, step / WARM_UP) * max(0.02, 1 - step / steps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        progress(step, steps)


def save_changes(layers: Mapping[str, LowRank], path: Path) -> None:
    """Write the changes of layers by their names, in half precision, as ``assistant`` reads them."""
    tensors = {}
    for name, layer in layers.items():
        tensors[f"{name}.down"] = layer.down.detach().half().contiguous()
        tensors[f"{name}.up"] = layer.up.detach().half().contiguous()
    save_file(tensors, path)


def with_changes(network: torch.nn.Module, rank: int) -> dict[str, LowRank]:
    """Freeze a transformer and put a trainable change beside each linear layer of its encoder."""
    network.requires_grad_(False)
    linears = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith("encoder.")
    ]
    layers = {name: LowRank(linear, rank) for name, linear in linears}
    for name, layer in layers.items():
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, layer)
    return layers


def _batches(
    pairs: Sequence[tuple[str, Provision]], by_concern: bool
) -> Iterator[list[tuple[str, Provision]]]:
    """Batches in random order; by concern they are of one concern each, which is harder."""
    shuffled = random.sample(pairs, len(pairs))
    if by_concern:
        shuffled.sort(key=lambda pair: pair[1].concerns[0])
    starts = range(0, len(shuffled) - BATCH + 1, BATCH)
    for start in random.sample(starts, len(starts)):
        yield shuffled[start : start + BATCH]


def _loss(
    model: SentenceTransformer, texts: _Texts, batch: Sequence[tuple[str, Provision]]
) -> torch.Tensor:
    provisions = [provision for _, provision in batch]
    questions = embed(model, [question for question, _ in batch], QUESTION_TOKENS)
    passages = embed(model, [texts.passage(entry) for entry in provisions], PASSAGE_TOKENS)
    siblings = embed(model, [texts.sibling(*pair) for pair in batch], QUESTION_TOKENS)
    alike = texts.alike(provisions)
    return (
        _contrast(questions, passages, alike)
        + 0.5 * _contrast(passages, questions, alike)
        + 0.5 * _contrast(questions, siblings, alike)
    )


def _contrast(ones: torch.Tensor, others: torch.Tensor, alike: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of finding each row's partner among all rows that are not alike."""
    scores = (ones @ others.T / TEMPERATURE).masked_fill(alike, -1e4)
    return cross_entropy(scores, torch.arange(len(ones)))


def embed(model: SentenceTransformer, texts: Sequence[str], tokens: int) -> torch.Tensor:
    """Mean over tokens, then length 1; shape (texts, dimension), with gradients."""
    fed = model.tokenizer(
        list(texts), padding=True, truncation=True, max_length=tokens, return_tensors="pt"
    )
    states = model[0].auto_model(**fed).last_hidden_state
    mask = fed["attention_mask"][..., None].float()
    return normalize((states * mask).sum(1) / mask.sum(1), dim=1)
