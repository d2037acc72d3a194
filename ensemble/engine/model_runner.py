"""Runs the sequences of one transformers model, each on a cache of its own, one after another in every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from core.messages import Sampling
from ensemble.engine.sampling import LogitsBroken, Sampler

_CACHE_ARGUMENTS = {"mistral": "past_key_values", "mamba2": "cache_params"}
_WARM_UP_TOKENS = 300  # more than one chunk of Mamba2's scan


@dataclass(slots=True)
class Generation:
    """One sequence: `unread` tokens the model has not seen yet, and in `cache` what it remembers of the others."""

    unread: Sequence[int]
    sampler: Sampler
    cache: Any


class ModelRunner:
    """A Mistral or Mamba2 network; both differ here only in the name of the cache they are handed.

    The cache is keys and values per token for Mistral, two states of fixed size for Mamba2.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        self._network = network
        self._device = network.device
        self._cache_argument = _CACHE_ARGUMENTS[network.config.model_type]

    def admit(self, prompt: Sequence[int], sampling: Sampling, *, max_tokens: int = 0) -> Generation:
        """Take one sequence in; its prompt is read by the next `step`."""
        return Generation(prompt, Sampler(sampling, self._device), DynamicCache(config=self._network.config))

    @torch.inference_mode()
    def step(self, batch: Sequence[Generation]) -> list[int | Exception]:
        """The next token of each sequence, or what prevents it; errors of the device itself are raised."""
        return [self._advance(generation) for generation in batch]

    def release(self, state: Generation) -> None:
        """Free the sequence's cache."""
        state.cache = None

    def warm_up(self) -> None:
        """Read a prompt and write a token, so that kernels are compiled before the first request."""
        generation = self.admit(range(1, _WARM_UP_TOKENS), Sampling())
        for _ in range(2):
            for token in self.step([generation]):
                if isinstance(token, Exception):
                    raise token
        self.release(generation)

    def _advance(self, generation: Generation) -> int | Exception:
        try:
            token = generation.sampler.draw(self._logits(generation))
        except torch.AcceleratorError:
            raise  # leaves the whole device unusable, not only this sequence
        except (RuntimeError, LogitsBroken) as error:
            return error
        generation.unread = (token,)
        return token

    def _logits(self, generation: Generation) -> Tensor:
        """Logits of the next token, of shape (vocabulary,)."""
        tokens = torch.tensor([generation.unread], device=self._device)  # (1, unread)
        cache = {self._cache_argument: generation.cache}
        output = self._network(input_ids=tokens, use_cache=True, logits_to_keep=1, **cache)
        logits: Tensor = output.logits
        return logits[0, -1]
