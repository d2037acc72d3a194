"""What batching needs from a model: room for many sequences, chunks of prompts in, next-token logits out.

One implementation per architecture (`mistral_network`, `mamba2_network`). Everything above (who runs, how tokens
are drawn, when text is delivered) is the same for both and knows no architecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ensemble.engine.adapter import Adapter


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one sequence's prompt: its tokens from position `start` on. Chunks of a slot come in order."""

    slot: int
    start: int
    tokens: Sequence[int]


class SlotNetwork(Protocol):
    """A network that remembers up to `slots` sequences, each in a slot of its own.

    Called from one thread, under `torch.inference_mode`. The logits of a sequence depend on its own tokens alone:
    not on its slot, on what else is in the batch, on who used the slot before, or on how its prompt was cut.
    """

    @property
    def device(self) -> torch.device:
        """Where logits are, and where `decode` wants its tensors."""

    @property
    def slots(self) -> int:
        """How many sequences fit at most."""

    @property
    def chunk_multiple(self) -> int:
        """Chunks end at absolute multiples of this, or with their prompt."""

    @property
    def memory_bytes(self) -> int:
        """Reserved for what is remembered of sequences."""

    @property
    def memory_used_bytes(self) -> int:
        """Of these, what open slots hold."""

    def warm_up(self) -> None:
        """Compile kernels and record graphs, so that no request has to wait for it; touches no open slot."""

    def adopt(self, place: int, adapter: Adapter) -> None:
        """Keep `adapter` in one of a few places, which no open slot uses. Raises torch.OutOfMemoryError."""

    def open(self, slot: int, tokens: int, *, place: int | None = None) -> bool:
        """Begin a sequence of at most `tokens` tokens in a free slot; false if memory for it is lacking now.

        It is answered with the adapter in `place`, if any.
        """

    def close(self, slot: int) -> None:
        """Let the sequence go."""

    def prefill(self, chunks: Sequence[Chunk]) -> Tensor:
        """Read chunks of different slots; logits (chunks, vocabulary) after each one's last token."""

    def decode(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        """One token further in each of n slots; logits (n, vocabulary).

        `slots` (n,), `tokens` (n,) and `positions` (n,; the number of tokens before) are int64 on `device`. The
        result may be a buffer that the next call overwrites.
        """


class NetworkSource(Protocol):
    """Where a network comes from when it is needed, and where its weights go when their memory is."""

    def bring(self) -> SlotNetwork:
        """A network with nothing in its slots; raises torch.OutOfMemoryError, and then wants `put_away`."""

    def put_away(self) -> None:
        """Give the device's memory back; whoever held the network must have let it go."""

    def load_adapter(self, directory: Path) -> Adapter:
        """Read an adapter for these weights; raises AdapterError."""
