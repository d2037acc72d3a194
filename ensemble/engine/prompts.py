"""Chunks of prompts of different sequences, laid end to end so that one pass reads them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ensemble.engine.network import Chunk


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens end to end: slot and position of each, and the bounds between one sequence's and the next's."""

    slots: Tensor  # (tokens,)
    positions: Tensor  # (tokens,)
    bounds: tuple[int, ...]  # (sequences + 1)
    device_bounds: Tensor  # the same, int32

    @classmethod
    def of(cls, spans: Sequence[tuple[int, int, int]], device: torch.device) -> Stretch:
        """Spans are (slot, first position, position after the last)."""
        slots = torch.cat([torch.full((end - start,), slot) for slot, start, end in spans])
        positions = torch.cat([torch.arange(start, end) for _, start, end in spans])
        bounds = (0, *accumulate(end - start for _, start, end in spans))
        return cls(
            slots.to(device, non_blocking=True),
            positions.to(device, non_blocking=True),
            bounds,
            torch.tensor(bounds, dtype=torch.int32).to(device, non_blocking=True),
        )

    @property
    def longest(self) -> int:
        return max(end - begin for begin, end in zip(self.bounds[:-1], self.bounds[1:], strict=True))


@dataclass(frozen=True, slots=True)
class Prompts:
    """Chunks as `tokens`: `own` is where these stand, `history` all of their sequences up to and with them."""

    tokens: Tensor  # (tokens,)
    own: Stretch
    history: Stretch

    @classmethod
    def of(cls, chunks: Sequence[Chunk], device: torch.device) -> Prompts:
        tokens = torch.tensor([token for chunk in chunks for token in chunk.tokens])
        own = Stretch.of([(c.slot, c.start, c.start + len(c.tokens)) for c in chunks], device)
        is_fresh = all(chunk.start == 0 for chunk in chunks)
        history = own if is_fresh else Stretch.of([(c.slot, 0, c.start + len(c.tokens)) for c in chunks], device)
        return cls(tokens.to(device, non_blocking=True), own, history)

    @property
    def is_fresh(self) -> bool:
        """Whether every chunk is its sequence's first."""
        return self.own is self.history
