"""Fit ``index/ranking.json`` on development questions: ``python -m evals fit``.

Ranking: the weights of a linear score by listwise softmax cross-entropy (ListNet, Cao et al. 2007)
over the hits of each question, with a penalty that keeps them small. Abstention: logistic
regression over the features of confidence; the threshold is the highest that refuses no more than
the wanted share of answerable questions in cross-validation. Held-out questions are never read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assistant import Assistant
from evals.questions import EvalQuestion
from evals.run import question_text

Array = npt.NDArray[np.float64]
_FOLDS = 10


def signals_of(
    assistant: Assistant, questions: Sequence[EvalQuestion]
) -> list[tuple[Array, Array, list[str]]]:
    """For each answerable question: signals (hits, signals), grades (hits,), names of signals."""
    rows = []
    for question in questions:
        grades = {entry.id: entry.grade for entry in question.gold}
        hits = assistant.search(question_text(question), 60)
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


def fit_abstention(
    assistant: Assistant, questions: Sequence[EvalQuestion], features: Sequence[str], refused: float
) -> dict[str, Any]:
    """Logistic regression over ``features``, and the threshold that refuses the share ``refused``.

    Questions with identifiers are left out: a look-up decides those.
    """
    chosen = [
        q for q in questions if q.kind not in ("identifier", "unknown-identifier", "follow-up")
    ]
    table = [assistant.confidence(question_text(question)).features for question in chosen]
    values = np.array([[row[name] for name in features] for row in table])
    answerable = np.array([question.answerable for question in chosen])
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000)
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(model, values, answerable, cv=folds, method="predict_proba")[:, 1]
    threshold = float(np.quantile(predicted[answerable], refused))
    model.fit(values, answerable)
    scaler, regression = model[0], model[1]
    weights = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - weights @ scaler.mean_)
    return {
        "bias": round(bias, 4),
        "weights": {n: round(float(w), 4) for n, w in zip(features, weights, strict=True)},
        "threshold": round(threshold, 4),
        "cross-validated": {
            "answerable refused": float((predicted[answerable] < threshold).mean()),
            "unanswerable answered": float((predicted[~answerable] >= threshold).mean()),
        },
    }


def write_ranking(path: Path, **parts: Any) -> None:
    """Replace parts of ranking.json, keeping the others."""
    data = json.loads(path.read_text("utf-8"))
    data.update(parts)
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
