"""Mamba2's mixer over packed rows: files that share a row never see each other, and `out_proj` stays a module.

transformers hands the bare weight of `out_proj` to the fused CUDA kernel, which a 4-bit weight and an adapter do
not survive, and which computes a gradient of that weight that nobody needs. Here the kernel ends before that.
On the CPU each file of a row is computed apart by transformers' own code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from training.gated_norm import deal_out_gated_norm


class PackedMixer(Mamba2Mixer):
    """A mixer that knows `seq_idx` (rows, tokens) int32: of which file of its row each token is.

    Without it, or with a cache, it is transformers' mixer.
    """

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
            mixed: Tensor = self.out_proj(self._scan(self.in_proj(hidden_states), seq_idx))
            return mixed
        return torch.stack(
            [self._mix_apart(row, files) for row, files in zip(hidden_states, seq_idx, strict=True)]
        )

    def _scan(self, projected: Tensor, seq_idx: Tensor) -> Tensor:
        """Convolution, scan and gated norm by groups in one CUDA kernel: what `out_proj` is given."""
        from mamba_ssm.ops.triton.ssd_combined import mamba_split_conv1d_scan_combined

        deal_out_gated_norm()
        scanned: Tensor = mamba_split_conv1d_scan_combined(
            projected,
            self.conv1d.weight.squeeze(1),
            self.conv1d.bias,
            self.dt_bias,
            -torch.exp(self.A_log.float()),
            D=self.D,
            chunk_size=self.chunk_size,
            seq_idx=seq_idx,
            dt_limit=self.time_step_limit,
            activation=self.activation,
            rmsnorm_weight=self.norm.weight,
            rmsnorm_eps=self.norm.variance_epsilon,
            outproj_weight=None,
            headdim=self.head_dim,
            ngroups=self.n_groups,
            norm_before_gate=False,
        )
        return scanned

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
