"""Penalties for tokens that were there before: what each slot has seen, and the logits that follow from it.

The memory is on the device, where the drawn tokens are, and takes five bytes for each slot and token of the
vocabulary from the first request on that asks for penalties. Rows that do not ask are not touched at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.messages import Sampling
from ensemble.engine.transfer import to_device

_LEAST_REPETITION = 1e-6  # a division by less would leave the range of float32


@dataclass(frozen=True, slots=True)
class Penalties:
    """What one request asks for; `Sampling` says what each does."""

    repetition: float = 1.0
    frequency: float = 0.0
    presence: float = 0.0

    @classmethod
    def of(cls, sampling: Sampling) -> Penalties | None:
        """None where nothing is penalised."""
        if not sampling.has_penalties:
            return None
        return cls(sampling.repetition_penalty, sampling.frequency_penalty, sampling.presence_penalty)


class PenaltyMemory:
    """By slot: how often each token was generated, and which tokens the prompt has.

    Everything is queued on the device and nothing is waited for: what a step draws is counted before the next step
    reads it, and what a former sequence left in a slot is cleared before the next one counts there.
    """

    def __init__(self, slots: int, device: torch.device) -> None:
        self._slots = slots
        self._device = device
        self.generated = torch.empty(0)  # (slots, vocabulary) float32, which counts exactly to 2^24
        self.prompted = torch.empty(0)  # (slots, vocabulary) bool

    def begin(self, slot: int, prompt: Sequence[int], written: Sequence[int], *, vocabulary: int) -> None:
        """Forget the slot's past; `written` are tokens that this request has generated before it came here."""
        if not self.prompted.numel():
            self.generated = torch.zeros(self._slots, vocabulary, device=self._device)
            self.prompted = torch.zeros(self._slots, vocabulary, dtype=torch.bool, device=self._device)
        self.prompted[slot].zero_().index_fill_(0, to_device(prompt, torch.int64, self._device), True)
        self.generated[slot].zero_()
        if written:
            ids = to_device(written, torch.int64, self._device)
            self.generated[slot].scatter_add_(0, ids, torch.ones(len(ids), device=self._device))


class BatchPenalties:
    """The penalties of a fixed set of rows as tensors; `slots` (n,) are the rows' in `memory`."""

    def __init__(self, memory: PenaltyMemory, penalties: Sequence[Penalties | None], slots: Tensor) -> None:
        self._memory = memory
        asked = [(row, each) for row, each in enumerate(penalties) if each is not None]
        self._rows = to_device([row for row, _ in asked], torch.int64, slots.device)
        self._slots = slots[self._rows]
        table = [(max(each.repetition, _LEAST_REPETITION), each.frequency, each.presence) for _, each in asked]
        columns = to_device(table, torch.float32, slots.device)
        self._repetition, self._frequency, self._presence = columns[:, :, None].unbind(1)

    def apply(self, logits: Tensor) -> Tensor:
        """Penalised `logits` (n, vocabulary) float32."""
        generated = self._memory.generated[self._slots]
        is_generated = generated > 0
        part = logits[self._rows]
        repeated = torch.where(part > 0, part / self._repetition, part * self._repetition)
        part = torch.where(is_generated | self._memory.prompted[self._slots], repeated, part)
        part = part - self._frequency * generated - self._presence * is_generated
        return logits.index_copy(0, self._rows, part)

    def count(self, tokens: Tensor) -> None:
        """Remember `tokens` (n,) as generated; where a row is broken, whatever is counted will not be read."""
        self._memory.generated[self._slots, tokens[self._rows].clamp_min(0)] += 1
