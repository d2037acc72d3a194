"""Drawing one token for every row of a batch at once, on the device the logits are on.

Random numbers are a function of (seed, step, token) alone, by a counter-based hash (splitmix64's finaliser), and
the token drawn is the argmax of log-probability plus Gumbel noise (Gumbel-max; Maddison et al., 2014). So what a
request draws does not depend on the batch it is in, and no generator per request has to be kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.messages import Sampling
from ensemble.engine.cuts import BatchCut, Cut
from ensemble.engine.penalties import Penalties
from ensemble.engine.transfer import column

BROKEN = -1
"""Stands for a token where a row's logits are not finite numbers."""

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


@dataclass(frozen=True, slots=True)
class Draw:
    """What one request wants: its sampling with the seed settled. A single candidate is a greedy draw."""

    temperature: float
    seed: int
    cut: Cut | None = None
    penalties: Penalties | None = None
    logprobs: int | None = None

    @classmethod
    def of(cls, sampling: Sampling) -> Draw:
        seed = sampling.seed if sampling.seed is not None else secrets.randbits(63)
        temperature = sampling.temperature if sampling.top_k != 1 else 0.0
        return cls(temperature, seed, Cut.of(sampling), Penalties.of(sampling), sampling.logprobs)


class BatchSampler:
    """The parameters of a fixed set of rows as tensors; build a new one when rows join or leave."""

    def __init__(self, draws: Sequence[Draw], device: torch.device) -> None:
        cuts = [draw.cut if draw.temperature > 0.0 else None for draw in draws]
        self._is_greedy = all(draw.temperature == 0.0 for draw in draws)
        self._cut = BatchCut(cuts, device) if any(cuts) else None
        if not self._is_greedy:
            self._temperature = column([draw.temperature for draw in draws], torch.float32, device)
            self._seed = column([draw.seed for draw in draws], torch.int64, device)

    def draw(self, logits: Tensor, steps: Tensor) -> Tensor:
        """Token ids (n,) int64 from `logits` (n, vocabulary); BROKEN where a row is not finite.

        `steps` (n,) int64 numbers the tokens of each request: the same number draws the same token.
        """
        logits = logits.float()
        tokens = logits.max(dim=-1).indices  # on the CPU a third of argmax's time
        if not self._is_greedy:
            tokens = torch.where(self._temperature[:, 0] > 0, self._draw_random(logits, steps), tokens)
        # One infinite or undefined logit makes the sum so; finite ones are far too small to overflow it.
        return torch.where(torch.isfinite(logits.sum(dim=-1)), tokens, BROKEN)

    def _draw_random(self, logits: Tensor, steps: Tensor) -> Tensor:
        scaled = logits / self._temperature.clamp_min(1e-6)
        if self._cut is not None:
            scaled = self._cut.apply(scaled)
        return (scaled + _gumbel(self._seed, steps[:, None], scaled.shape[-1])).argmax(dim=-1)


def _gumbel(seed: Tensor, step: Tensor, vocabulary: int) -> Tensor:
    """Standard Gumbel noise (n, vocabulary) from (n, 1) seeds and steps."""
    token = torch.arange(vocabulary, device=seed.device)
    bits = _mix(_mix(seed + step * _GOLDEN) + token * _GOLDEN)
    uniform = ((bits >> 11) & (2**53 - 1)).double().add_(0.5).mul_(2.0**-53)  # strictly between 0 and 1
    return (-(-uniform.log()).log()).float()


def _mix(value: Tensor) -> Tensor:
    """splitmix64's finaliser; int64 arithmetic wraps, and right shifts are made logical by masking."""
    value = (value ^ ((value >> 30) & (2**34 - 1))) * _MIX_1
    value = (value ^ ((value >> 27) & (2**37 - 1))) * _MIX_2
    return value ^ ((value >> 31) & (2**33 - 1))
