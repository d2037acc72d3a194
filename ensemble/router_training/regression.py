"""Multinomial logistic regression on sparse features by L-BFGS (Liu and Nocedal, 1989), with torch's optimiser.

One thread and double precision, so that the same rows give the same weights bit for bit on one kind of machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ITERATIONS = 30
"""Stopping before the minimum generalises as well and takes a quarter of the time."""
HISTORY = 12
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Table:
    """Sparse features (rows, columns) and their transpose, both compressed by row."""

    rows: Tensor
    columns: Tensor

    @property
    def count(self) -> int:
        return int(self.rows.shape[0])

    @property
    def width(self) -> int:
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True)
class Fitted:
    """`weights` (columns, labels) and `bias` (labels)."""

    weights: Tensor
    bias: Tensor

    def logits(self, table: Table) -> Tensor:
        """(rows, labels)"""
        return table.rows @ self.weights + self.bias


def build_table(vectors: Sequence[Mapping[int, float]], width: int) -> Table:
    lengths = torch.tensor([len(vector) for vector in vectors])
    at = torch.repeat_interleave(torch.arange(len(vectors)), lengths)
    columns = torch.tensor([index for vector in vectors for index in vector], dtype=torch.int64)
    values = torch.tensor([value for vector in vectors for value in vector.values()], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        rows = torch.sparse_coo_tensor(
            torch.stack([at, columns]), values, (len(vectors), width), check_invariants=True
        )
        turned = torch.sparse_coo_tensor(
            torch.stack([columns, at]), values, (width, len(vectors)), check_invariants=True
        )
        return Table(rows.coalesce().to_sparse_csr(), turned.coalesce().to_sparse_csr())


def fit_regression(
    table: Table, truth: Tensor, weight: Tensor, *, labels: int, strength: float, start: Fitted | None = None
) -> Fitted:
    """Steps towards the minimum of `strength` times the weighted log-loss plus half the squared weights.

    `truth` (rows) holds label numbers; rows of `weight` 0 are left out. `start` is where the steps begin.
    """
    weights = torch.zeros(table.width, labels, dtype=torch.float64) if start is None else start.weights.clone()
    bias = torch.zeros(labels, dtype=torch.float64) if start is None else start.bias.clone()
    weights.grad, bias.grad = torch.zeros_like(weights), torch.zeros_like(bias)
    target = torch.nn.functional.one_hot(truth, labels).double()

    def loss() -> float:
        chances = torch.log_softmax(table.rows @ weights + bias, dim=1)
        slope = strength * weight[:, None] * (chances.exp() - target)
        weights.grad = table.columns @ slope + weights
        bias.grad = slope.sum(0)
        misfit = -(weight * (chances * target).sum(1)).sum()
        return float(strength * misfit + weights.square().sum() / 2)

    optimiser = torch.optim.LBFGS(
        [weights, bias],
        max_iter=ITERATIONS,
        history_size=HISTORY,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return Fitted(weights, bias)
