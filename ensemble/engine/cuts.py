"""Ruling out improbable tokens before the draw: top-k, then top-p of what is left, then min-p.

The order is that of transformers. Rows that cut nothing are not touched at all, so their bits do not depend on
rows that do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.messages import Sampling
from ensemble.engine.ranking import rank
from ensemble.engine.transfer import column, to_device


@dataclass(frozen=True, slots=True)
class Cut:
    """What one request keeps; the defaults keep everything."""

    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0

    @classmethod
    def of(cls, sampling: Sampling) -> Cut | None:
        """None where everything is kept."""
        asked = cls(sampling.top_k, sampling.top_p, sampling.min_p)
        return asked if asked != cls() else None

    @property
    def is_ranked(self) -> bool:
        return self.top_k is not None or self.top_p < 1.0


class BatchCut:
    """The cuts of a fixed set of rows as tensors; at least one row has any."""

    def __init__(self, cuts: Sequence[Cut | None], device: torch.device) -> None:
        chosen = [cut for cut in cuts if cut is not None]
        rows = [row for row, cut in enumerate(cuts) if cut is not None]
        self._rows = to_device(rows, torch.int64, device)
        self._is_ranked = any(cut.is_ranked for cut in chosen)
        self._has_floor = any(cut.min_p > 0.0 for cut in chosen)
        limits = [cut.top_k for cut in chosen]
        self._most = None if None in limits else max((limit for limit in limits if limit), default=None)
        everything = torch.iinfo(torch.int64).max
        self._top_k = column([limit or everything for limit in limits], torch.int64, device)
        # Not 1.0, which the sum of all probabilities may reach before the last token.
        shares = [cut.top_p if cut.top_p < 1.0 else math.inf for cut in chosen]
        self._top_p = column(shares, torch.float64, device)
        floors = [math.log(cut.min_p) if cut.min_p > 0.0 else -math.inf for cut in chosen]
        self._floor = column(floors, torch.float32, device)

    def apply(self, logits: Tensor) -> Tensor:
        """`logits` (n, vocabulary) with -inf for what is ruled out; the most probable token always stays."""
        part = logits[self._rows]
        if self._is_ranked:
            part = self._keep_first(part)
        if self._has_floor:
            part = part.masked_fill(part < part.amax(dim=-1, keepdim=True) + self._floor, -math.inf)
        return logits.index_copy(0, self._rows, part)

    def _keep_first(self, logits: Tensor) -> Tensor:
        """Top-k and top-p by one ranking; sums in float64, so that they hardly depend on how they are split."""
        width = logits.shape[-1]
        order = rank(logits, min(self._most or width, width))
        ordered = logits.gather(-1, order)
        is_out = torch.arange(order.shape[-1], device=order.device) >= self._top_k
        weight = (ordered.double() - ordered[:, :1]).exp().masked_fill_(is_out, 0.0)
        reached = weight.cumsum(dim=-1)
        is_out |= reached - weight >= self._top_p * reached[:, -1:]
        is_out[:, 0] = False
        kept = ordered.masked_fill(is_out, -math.inf)
        return torch.full_like(logits, -math.inf).scatter_(-1, order, kept)
