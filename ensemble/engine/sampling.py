"""How the next token is drawn from a model's logits."""

from __future__ import annotations

import secrets

import torch
from torch import Tensor

from core.messages import Sampling


class LogitsBroken(ArithmeticError):
    """The model produced values that are no numbers; no token can be drawn from them."""


class Sampler:
    """Draws the tokens of one sequence.

    Its random numbers are its own: with the same seed it draws the same tokens whatever else is running.
    """

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._random = torch.Generator(device)
        self._random.manual_seed(sampling.seed if sampling.seed is not None else secrets.randbits(63))

    def draw(self, logits: Tensor) -> int:
        """The next token from `logits` of shape (vocabulary,).

        Raises:
            LogitsBroken: a logit is NaN or infinite.
        """
        logits = logits.float()
        if not bool(torch.isfinite(logits).all()):
            raise LogitsBroken("its logits are not finite numbers")
        if self._temperature == 0.0:
            return int(logits.argmax())
        probabilities = torch.softmax((logits - logits.max()) / self._temperature, dim=-1)
        if self._top_p < 1.0:
            probabilities = _nucleus(probabilities, self._top_p)
        return int(torch.multinomial(probabilities, 1, generator=self._random))


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the most probable tokens that together reach `top_p`, always at least one; `multinomial` rescales."""
    ordered, order = probabilities.sort(descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    before[0] = 0.0  # the difference of equal numbers need not be exactly zero
    return torch.zeros_like(probabilities).scatter(-1, order, ordered.masked_fill(before >= top_p, 0.0))
