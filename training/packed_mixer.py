"""Mamba2's mixer over packed rows: files that share a row never see each other, and `out_proj` stays a module.

transformers hands the bare weight of `out_proj` to the fused CUDA kernel, which a 4-bit weight and an adapter do
not survive, and which computes gradients of weights that nobody needs. Here the kernels end before that.
On the CPU each file of a row is computed apart by transformers' own code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from training.frozen_scan import FrozenMixer, frozen_scan


class PackedMixer(Mamba2Mixer):
    """A mixer that knows `seq_idx` (rows, tokens) int32: of which file of its row each token is.

    Without it, or with a cache, it is transformers' mixer. Its own weights are frozen.
    """

    is_computed_again = False
    """Whether what the scan keeps for backward is short-lived, for its block is checkpointed."""

    def forward(
        self,
        hidden_states: Tensor,
        cache_params: Any = None,
        attention_mask: Tensor | None = None,
        seq_idx: Tensor | None = None,
    ) -> Tensor:
        if seq_idx is None or cache_params is not None:
            plain: Tensor = super().forward(hidden_states, cache_params, attention_mask)
            return plain
        if hidden_states.is_cuda:
            scanned = frozen_scan(
                self.in_proj(hidden_states), seq_idx, self._frozen(), keeps_everything=self.is_computed_again
            )
            mixed: Tensor = self.out_proj(scanned)
            return mixed
        return torch.stack(
            [self._mix_apart(row, files) for row, files in zip(hidden_states, seq_idx, strict=True)]
        )

    def _frozen(self) -> FrozenMixer:
        return FrozenMixer(
            kernel=self.conv1d.weight.squeeze(1),
            kernel_bias=self.conv1d.bias,
            decay=-torch.exp(self.A_log.float()),
            skip=self.D,
            time_bias=self.dt_bias,
            norm=self.norm.weight,
            epsilon=self.norm.variance_epsilon,
            head_width=self.head_dim,
            groups=self.n_groups,
            state_width=self.ssm_state_size,
            chunk_tokens=self.chunk_size,
            time_limit=tuple(self.time_step_limit),
        )

    def _mix_apart(self, row: Tensor, files: Tensor) -> Tensor:
        """One row (tokens, width), file by file."""
        changes = (files[1:] != files[:-1]).nonzero().flatten() + 1
        borders = [0, *changes.tolist(), len(row)]
        parts = [super(PackedMixer, self).forward(row[None, begin:end]) for begin, end in pairwise(borders)]
        return torch.cat(parts, dim=1)[0]


def pack_mixers(network: torch.nn.Module) -> None:
    """Have every Mamba2 mixer of `network` know packed rows; weights and names stay as they are."""
    for module in network.modules():
        if type(module) is Mamba2Mixer:
            module.__class__ = PackedMixer
