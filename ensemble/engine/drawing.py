"""From logits to drawn tokens for a fixed set of rows: penalties, the draw, and scores, each only if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ensemble.engine.batch_sampling import BatchSampler, Draw
from ensemble.engine.penalties import BatchPenalties, PenaltyMemory
from ensemble.engine.scoring import Scorer, Scores


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tokens (n,) of a step, and the scores of those rows that asked."""

    tokens: Tensor
    scores: Scores | None


class Drawer:
    """Build a new one when rows join or leave; those with penalties have begun in `memory`."""

    def __init__(self, draws: Sequence[Draw], slots: Tensor, memory: PenaltyMemory) -> None:
        penalties = [draw.penalties for draw in draws]
        wanted = [draw.logprobs for draw in draws]
        self._sampler = BatchSampler(draws, slots.device)
        self._penalties = BatchPenalties(memory, penalties, slots) if any(penalties) else None
        self._scorer = Scorer(wanted, slots.device) if wanted.count(None) < len(wanted) else None

    def draw(self, logits: Tensor, steps: Tensor) -> Drawn:
        """`logits` (n, vocabulary) as the model gave them; `steps` (n,) number the tokens of each request."""
        logits = logits.float()
        penalised = logits if self._penalties is None else self._penalties.apply(logits)
        tokens = self._sampler.draw(penalised, steps)
        if self._penalties is not None:
            self._penalties.count(tokens)
        return Drawn(tokens, self._scorer.score(logits, tokens) if self._scorer is not None else None)
