"""Log-probabilities of drawn tokens by the model's own distribution, from the device to the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ensemble.engine.ranking import rank
from ensemble.engine.runner import Scored
from ensemble.engine.transfer import to_device

LEAST = -9999.0
"""Stands for anything less probable, as in other servers: JSON has no infinity."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One line of `table` (k, 1 + 2 m) float64 for each of k rows: the drawn token's, then m best, then their ids.

    Float64 holds log-probabilities in float32 and ids alike, so that one copy brings all of them. `wanted` pairs
    the number of a row in its batch with how many of the best it asked for.
    """

    wanted: tuple[tuple[int, int], ...]
    table: Tensor

    def moved(self, offset: int, table: Tensor) -> Scores:
        """The same in a batch where `offset` rows come before, `table` on the host."""
        return replace(self, wanted=tuple((row + offset, most) for row, most in self.wanted), table=table)

    def scored(self, tokens: Sequence[int]) -> Iterator[tuple[int, Scored]]:
        """By row, once the table has arrived; `tokens` are the whole batch's."""
        for (row, most), line in zip(self.wanted, self.table.tolist(), strict=True):
            best = (len(line) - 1) // 2
            ids = map(int, line[1 + best : 1 + best + most])
            yield row, Scored(tokens[row], line[0], tuple(zip(ids, line[1 : 1 + most], strict=True)))


class Scorer:
    """Scores those of a fixed set of rows that asked; `wanted` has a number of alternatives or None for each."""

    def __init__(self, wanted: Sequence[int | None], device: torch.device) -> None:
        self._wanted = tuple((row, most) for row, most in enumerate(wanted) if most is not None)
        self._rows = to_device([row for row, _ in self._wanted], torch.int64, device)
        self._most = max(most for _, most in self._wanted)

    def score(self, logits: Tensor, tokens: Tensor) -> Scores:
        """`logits` (n, vocabulary) float32 as the model gave them, and the `tokens` (n,) drawn."""
        part = logits[self._rows]
        logprobs = part.log_softmax(dim=-1).clamp_min_(LEAST)
        drawn = tokens[self._rows, None].clamp_min(0)  # broken rows have none
        best = rank(part, min(self._most, part.shape[-1]))
        columns = (logprobs.gather(-1, drawn), logprobs.gather(-1, best), best)
        return Scores(self._wanted, torch.cat([column.double() for column in columns], dim=-1))
