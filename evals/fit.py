"""Fit ``index/ranking.json`` on development questions: ``python -m evals fit``.

Ranking: the weights of a linear score by listwise softmax cross-entropy (ListNet, Cao et al. 2007)
over the hits of each question, with a penalty that keeps them small. Relevance of a hit, by which an
answer chooses what to say: logistic regression on its score and rank. Abstention: logistic regression
over the features of confidence; the threshold is the highest that refuses no more than the wanted
share of answerable questions in cross-validation. Held-out questions are never read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assistant import Assistant
from assistant.documents import named_elsewhere
from assistant.ranking import CONFIDENCE, RELEVANCE
from assistant.retrieval import nearness
from evals.questions import EvalQuestion

Array = npt.NDArray[np.float64]
_FOLDS = 10
_COMPONENTS = 64
_STRENGTH = 0.05


def signals_of(
    assistant: Assistant, questions: Sequence[EvalQuestion]
) -> list[tuple[Array, Array, list[str]]]:
    """For each answerable question: signals (hits, signals), grades (hits,), names of signals."""
    rows = []
    for question in questions:
        grades = {entry.id: entry.grade for entry in question.gold}
        hits = assistant.search(question.question, 60)
        hits = [hit for hit in hits if "identifier" not in hit.signals]
        found = np.array([grades.get(hit.provision.id, 0) for hit in hits], float)
        if question.kind in ("identifier", "follow-up") or not found.any():
            continue
        names = list(hits[0].signals)
        rows.append((np.array([[hit.signals[n] for n in names] for hit in hits]), found, names))
    return rows


def fit_weights(
    rows: Sequence[tuple[Array, Array, list[str]]], penalty: float = 0.002, steps: int = 1500
) -> dict[str, float]:
    """Weights by gradient descent with momentum on the mean listwise cross-entropy.

    A hit's target probability is proportional to its gain 2**grade - 1.
    """
    names = rows[0][2]
    weights = np.zeros(len(names))
    velocity = np.zeros(len(names))
    for _ in range(steps):
        gradient = penalty * weights
        for signals, grades, _ in rows:
            gains = 2.0**grades - 1
            scores = signals @ weights
            soft = np.exp(scores - scores.max())
            gradient += signals.T @ (soft / soft.sum() - gains / gains.sum()) / len(rows)
        velocity = 0.9 * velocity - 0.5 * gradient
        weights = weights + velocity
    return dict(zip(names, weights, strict=True))


def fit_relevance(assistant: Assistant, questions: Sequence[EvalQuestion]) -> dict[str, float]:
    """Logistic regression of whether a hit is relevant on its score, its rank and the best score."""
    values, relevant = [], []
    for question in questions:
        grades = {entry.id: entry.grade for entry in question.gold}
        hits = assistant.search(question.question, 60)
        hits = [hit for hit in hits if "identifier" not in hit.signals]
        if question.kind in ("identifier", "follow-up") or not grades:
            continue
        for rank, hit in enumerate(hits, start=1):
            values.append((hit.score, np.log(rank), hits[0].score))
            relevant.append(hit.provision.id in grades)
    model = LogisticRegression(C=1e3, max_iter=5000).fit(np.array(values), np.array(relevant))
    weights = zip(RELEVANCE, model.coef_[0], strict=True)
    return {
        "bias": round(float(model.intercept_[0]), 4),
        **{name: round(float(weight), 4) for name, weight in weights},
    }


def fit_abstention(
    assistant: Assistant,
    questions: Sequence[EvalQuestion],
    further: Sequence[EvalQuestion],
    refused: float,
) -> dict[str, Any]:
    """Logistic regression over confidence and question vector; threshold refuses ``refused``.

    further: questions that take part in the fit alone. The threshold and the error rates are those of
    ``questions``, in cross-validation over topics: users ask about others than we did.

    The vector enters by its principal components on these questions; their weights make one
    direction in the embedding space. Questions with identifiers, or with laws that no source
    digests, are left out: look-ups decide those.
    """
    skipped = ("identifier", "unknown-identifier", "follow-up")
    chosen = [
        question
        for question in (*questions, *further)
        if question.kind not in skipped
        and not named_elsewhere(question.question, assistant.corpus.elsewhere)
    ]
    names = [name for name in CONFIDENCE if name != "question"]
    table = [assistant.confidence(question.question) for question in chosen]
    vectors = np.array([row.vector for row in table], float)
    near = _nearness(assistant, chosen, vectors)
    features = np.array(
        [
            [(dict(row.features) | found)[name] for name in names]
            for row, found in zip(table, near, strict=True)
        ]
    )
    values = np.hstack([features, vectors])
    answerable = np.array([question.answerable for question in chosen])
    count = len(names)
    reduce = make_pipeline(PCA(_COMPONENTS, random_state=0), StandardScaler())
    columns = ColumnTransformer(
        [
            ("features", StandardScaler(), slice(0, count)),
            ("vector", reduce, slice(count, values.shape[1])),
        ]
    )
    model = make_pipeline(
        columns, LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=5000)
    )
    predicted = cross_val_predict(
        model,
        values,
        answerable,
        groups=_by_topic(chosen),
        cv=GroupKFold(_FOLDS),
        method="predict_proba",
    )[:, 1]
    known = {question.id for question in questions}
    developed = np.array([question.id in known for question in chosen])
    covered, others = predicted[developed & answerable], predicted[developed & ~answerable]
    threshold = float(np.quantile(covered, refused))
    model.fit(values, answerable)
    scaler = model[0].named_transformers_["features"]
    pca, after = model[0].named_transformers_["vector"]
    coefficients = model[1].coef_[0]
    weights = coefficients[:count] / scaler.scale_
    inner = coefficients[count:] / after.scale_
    direction = pca.components_.T @ inner
    offset = weights @ scaler.mean_ + inner @ after.mean_ + direction @ pca.mean_
    named = {name: round(float(w), 4) for name, w in zip(names, weights, strict=True)}
    return {
        "bias": round(float(model[1].intercept_[0] - offset), 4),
        "weights": {**named, "question": 1.0},
        "threshold": round(threshold, 4),
        "model": table[0].model,
        "direction": [round(float(value), 4) for value in direction],
        "cross-validated": {
            "answerable refused": float((covered < threshold).mean()),
            "unanswerable answered": float((others >= threshold).mean()),
        },
    }


def _nearness(
    assistant: Assistant, questions: Sequence[EvalQuestion], vectors: Array
) -> list[dict[str, float]]:
    """How near known uncovered questions are to each question, the question itself left out."""
    known = assistant.corpus.uncovered
    place = {text: number for number, text in enumerate(known)}
    cosines = vectors @ assistant.index.uncovered.T
    for row, question in zip(cosines, questions, strict=True):
        own = place.get(" ".join(question.question.split()))
        if own is not None:
            row[own] = -1.0
    return [nearness(row) for row in cosines]


def _by_topic(questions: Sequence[EvalQuestion]) -> list[str]:
    """A group for each topic; questions on no topic of the taxonomy are dealt to a fold's number."""
    return [
        f"{entry.topic} {place % _FOLDS}" if entry.topic == "other" else entry.topic
        for place, entry in enumerate(questions)
    ]


def write_ranking(path: Path, **parts: Any) -> None:
    """Replace parts of ranking.json, keeping the others."""
    data = json.loads(path.read_text("utf-8"))
    data.update(parts)
    text = json.dumps(data, indent=2)
    compact = re.sub(r"\[[^\]]*\]", lambda match: " ".join(match[0].split()), text)
    path.write_text(compact + "\n", encoding="utf-8")
