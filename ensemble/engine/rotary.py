"""Rotary position embedding, from tables made once for every position of a context."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.errors import ConfigurationError

_MOVING = ("dynamic", "longrope")  # frequencies that change with the length of the text


class Rotary:
    """`cos` and `sin` are fp32, (context, head dim / 2): the second half of a head turns as the first does."""

    def __init__(self, network: PreTrainedModel, *, context_tokens: int) -> None:
        """Take the frequencies of `network`.

        Raises:
            ConfigurationError: the frequencies change with the length of the text.
        """
        model: Any = network.model
        embedding = model.rotary_emb
        if any(kind in embedding.rope_type for kind in _MOVING):
            raise ConfigurationError(
                f"rotary embedding {embedding.rope_type!r} of this checkpoint is not supported"
            )
        frequencies = embedding.inv_freq.to(device=network.device, dtype=torch.float32)
        positions = torch.arange(context_tokens, dtype=torch.float32, device=network.device)
        angles = positions[:, None] * frequencies
        self.cos = angles.cos() * embedding.attention_scaling
        self.sin = angles.sin() * embedding.attention_scaling

    def rotate(self, heads: Tensor, positions: Tensor) -> Tensor:
        """Turn n tokens' heads, of shape (n, heads, head dim), by their positions (n,)."""
        cos, sin = self.cos[positions, None], self.sin[positions, None]  # (n, 1, half)
        first, second = heads.float().chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(heads.dtype)
