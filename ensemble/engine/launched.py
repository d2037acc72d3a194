"""A step under way: what was drawn, on its way from the device to the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ensemble.engine.batch_sampling import BROKEN
from ensemble.engine.drawing import Drawn
from ensemble.engine.runner import Scored
from ensemble.engine.scoring import Scores


@dataclass(frozen=True, slots=True)
class Launched:
    """Tokens on their way to the host, one for each of `rows`, and the scores of those that asked."""

    rows: Sequence[object]
    tokens: Tensor
    scores: tuple[Scores, ...]
    arrival: torch.cuda.Event | None

    @classmethod
    def of(cls, rows: Sequence[object], parts: list[Drawn]) -> Launched:
        tokens = _to_host(torch.cat([part.tokens for part in parts]))
        starts = accumulate((len(part.tokens) for part in parts), initial=0)
        scores = tuple(
            part.scores.moved(start, _to_host(part.scores.table))
            for start, part in zip(starts, parts, strict=False)
            if part.scores is not None
        )
        return cls(rows, tokens, scores, _mark(parts[0].tokens.device))

    def by_row(self) -> dict[object, int | Scored]:
        """Wait for the tokens."""
        if self.arrival is not None:
            self.arrival.synchronize()
        tokens = self.tokens.tolist()
        drawn: dict[int, int | Scored] = dict(enumerate(tokens))
        for scores in self.scores:
            drawn.update((row, scored) for row, scored in scores.scored(tokens) if scored.token != BROKEN)
        return {row: drawn[index] for index, row in enumerate(self.rows)}


def _to_host(tensor: Tensor) -> Tensor:
    """Where `tensor` will be once the device gets there."""
    if tensor.device.type != "cuda":
        return tensor
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def _mark(device: torch.device) -> torch.cuda.Event | None:
    """Passed when everything queued until now is done."""
    if device.type != "cuda":
        return None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event
