"""Fits the router: every class weighs the same, within it a source the root of its size."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ensemble.router_training.generator import augment, generate
from ensemble.router_training.regression import Fitted, Table, build_table, fit_regression
from ensemble.routing.classifier import Classifier, render_weights
from ensemble.routing.features import BUCKETS, features
from ensemble.routing.labels import LABELS
from ensemble.routing.measures import Row

GENERATED = 1600
"""Prompts of our own for each class."""
DISTURBED_SHARE = 0.5
SEED = 0
STRENGTH = 6.0
REAL_SHARE = 0.3
"""Of all weight, that of the labelled prompts; the rest is that of generated ones."""
PIECE_WEIGHT = 1.0
TEMPERATURES = [(30 + 2 * step) / 100 for step in range(136)]


@dataclass(frozen=True, slots=True)
class Folds:
    """A model for each source that never saw it, and its calibrated probabilities (rows, labels) of prompts."""

    models: dict[str, Fitted]
    probabilities: list[list[float]]
    temperature: float


class Lesson:
    """Labelled prompts beside generated ones, read once; `fit` then learns from a part of them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        torch.set_num_threads(1)
        self.rows = rows
        plain = generate(GENERATED, SEED)
        ours = plain + augment(plain, SEED + 1, DISTURBED_SHARE)
        self._ours = len(ours)
        labels = [row.label for row in rows] + [label for _, label in ours]
        self.truth = torch.tensor([LABELS.index(label) for label in labels])
        self.table = read_table([*(row.prompt for row in rows), *(prompt for prompt, _ in ours)])

    def fit(self, kept: Sequence[bool], start: Fitted | None = None) -> Fitted:
        """Learn from the rows that are `kept`, and from all generated prompts."""
        total = 2.0 * sum(kept)
        real = _weigh(self.rows, kept) * total * REAL_SHARE
        ours = torch.full((self._ours,), total * (1 - REAL_SHARE) / self._ours, dtype=torch.float64)
        return fit_regression(
            self.table,
            self.truth,
            torch.cat([real, ours]),
            labels=len(LABELS),
            strength=STRENGTH,
            start=start,
        )

    def fit_all(self) -> Fitted:
        return self.fit([True] * len(self.rows))


def read_table(prompts: Sequence[str]) -> Table:
    return build_table([features(prompt, piece_weight=PIECE_WEIGHT) for prompt in prompts], BUCKETS)


def fit_without_each(lesson: Lesson) -> Iterator[tuple[str, Fitted]]:
    """Each source, and what was learned without it."""
    start = lesson.fit_all()
    for source in sorted({row.source for row in lesson.rows}):
        yield source, lesson.fit([row.source != source for row in lesson.rows], start)


def leave_one_source_out(lesson: Lesson) -> Folds:
    """The temperature is the one of least log-loss over all sources left out."""
    rows, logits = lesson.rows, torch.zeros(len(lesson.rows), len(LABELS), dtype=torch.float64)
    models = dict(fit_without_each(lesson))
    for source, model in models.items():
        out = torch.tensor([row.source == source for row in rows])
        logits[out] = model.logits(lesson.table)[: len(rows)][out]
    temperature = find_temperature(logits, lesson.truth[: len(rows)], _share_sources(rows))
    return Folds(models, torch.softmax(logits / temperature, dim=1).tolist(), temperature)


def find_temperature(logits: Tensor, truth: Tensor, weight: Tensor) -> float:
    """The divisor of `logits` (rows, labels) with the least log-loss (Guo et al., 2017)."""

    def loss(temperature: float) -> float:
        chosen = torch.log_softmax(logits / temperature, dim=1).gather(1, truth[:, None])[:, 0]
        return float(-(weight * chosen).sum())

    return min(TEMPERATURES, key=loss)


def render(fitted: Fitted, temperature: float) -> bytes:
    """The weights file; rounded to three digits, so that the last bits of a sum change nothing."""
    weights = array("f", fitted.weights.mul(1000).round().div(1000).flatten().tolist())
    a, b, c, d = (round(value, 3) for value in fitted.bias.tolist())
    version = f"router-{hashlib.sha256(weights.tobytes()).hexdigest()[:8]}"
    return render_weights(Classifier(version, weights, (a, b, c, d), temperature, PIECE_WEIGHT))


def _weigh(rows: Sequence[Row], kept: Sequence[bool]) -> Tensor:
    """Sums to 1; 0 for what is not kept."""
    counts = Counter((row.source, row.label) for row, is_kept in zip(rows, kept, strict=True) if is_kept)
    raw = [
        counts[row.source, row.label] ** -0.5 if is_kept else 0.0 for row, is_kept in zip(rows, kept, strict=True)
    ]
    totals = dict.fromkeys(LABELS, 0.0)
    for row, value in zip(rows, raw, strict=True):
        totals[row.label] += value
    shares = [value / (totals[row.label] or 1.0) for row, value in zip(rows, raw, strict=True)]
    return torch.tensor(shares, dtype=torch.float64) / sum(shares)


def _share_sources(rows: Sequence[Row]) -> Tensor:
    """Each source weighs the same."""
    counts = Counter(row.source for row in rows)
    weight = torch.tensor([1 / counts[row.source] for row in rows], dtype=torch.float64)
    return weight / weight.sum()
