"""Logistic regression over hashed features: every class weighs the same, a source the root of its size."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from ensemble.router_features import BUCKETS, features
from ensemble.router_model import LABELS, Classifier, render_weights
from ensemble.router_training.generator import augment, generate

GENERATED = 800
SEED = 0
STRENGTH = 6.0
PIECE_WEIGHT = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled prompt."""

    prompt: str
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class Folds:
    """Calibrated probabilities (rows, 4) of each prompt by a model that never saw its source."""

    probabilities: Any
    temperature: float


def leave_one_source_out(rows: Sequence[Row]) -> Folds:
    """Fit once without each source; the temperature is the one of least log-loss over all sources left out."""
    logits = np.zeros((len(rows), len(LABELS)))
    ours = matrix([prompt for prompt, _ in generated()])
    for source in sorted({row.source for row in rows}):
        out = [index for index, row in enumerate(rows) if row.source == source]
        model = _fitted([row for row in rows if row.source != source], ours)
        logits[out] = model.decision_function(matrix([rows[index].prompt for index in out]))
    weight = _shares(rows)
    truth = np.array([LABELS.index(row.label) for row in rows])

    def loss(temperature: float) -> float:
        chosen = softmax(logits / temperature)[np.arange(len(rows)), truth]
        return float(-(weight * np.log(chosen + 1e-9)).sum())

    temperature = float(round(minimize_scalar(loss, bounds=(0.2, 4.0), method="bounded").x, 3))
    return Folds(softmax(logits / temperature), temperature)


def fit(rows: Sequence[Row], temperature: float) -> bytes:
    """The weights file; rounded to three digits, so that the last bit of a sum changes nothing."""
    model = _fitted(rows, matrix([prompt for prompt, _ in generated()]), augmented=True)
    weights = array("f", np.round(model.coef_.T, 3).astype(np.float32).ravel().tolist())
    a, b, c, d = (round(float(value), 3) for value in model.intercept_)
    version = f"router-{hashlib.sha256(weights.tobytes()).hexdigest()[:8]}"
    return render_weights(Classifier(version, weights, (a, b, c, d), temperature, PIECE_WEIGHT))


def generated() -> list[tuple[str, str]]:
    """Our own prompts, and disturbed copies of a part of them."""
    plain = generate(GENERATED, SEED)
    return plain + augment(plain, SEED + 1, 0.3)


def matrix(prompts: Sequence[str]) -> Any:
    """Sparse features, (prompts, BUCKETS)."""
    starts, indices, values = [0], [], []
    for prompt in prompts:
        vector = features(prompt, piece_weight=PIECE_WEIGHT)
        indices += vector.keys()
        values += vector.values()
        starts.append(len(indices))
    return scipy.sparse.csr_matrix((values, indices, starts), (len(prompts), BUCKETS))


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _fitted(rows: Sequence[Row], ours: Any, *, augmented: bool = False) -> LogisticRegression:
    real = list(rows)
    if augmented:
        disturbed = augment([(row.prompt, f"{row.label}\n{row.source}") for row in rows], SEED + 2, 1.0)
        real += [Row(prompt, *label.split("\n")) for prompt, label in disturbed]
    labels = [label for _, label in generated()]
    weight = _class_shares(real)
    weights = np.r_[weight * len(real), np.full(len(labels), len(real) / len(labels))]
    weights *= 2 * len(rows) / weights.sum()
    model = LogisticRegression(C=STRENGTH, max_iter=150, tol=1e-3)
    inputs = scipy.sparse.vstack([matrix([row.prompt for row in real]), ours])
    return model.fit(inputs, [row.label for row in real] + labels, sample_weight=weights)


def _class_shares(rows: Sequence[Row]) -> Any:
    counts = Counter((row.source, row.label) for row in rows)
    weight = np.array([counts[row.source, row.label] ** -0.5 for row in rows])
    labels = np.array([row.label for row in rows])
    for label in set(labels.tolist()):
        weight[labels == label] /= weight[labels == label].sum()
    return weight / weight.sum()


def _shares(rows: Sequence[Row]) -> Any:
    """Each source weighs the same."""
    counts = Counter(row.source for row in rows)
    weight = np.array([1 / counts[row.source] for row in rows])
    return weight / weight.sum()
