"""Norms of the residual stream, each in one kernel forward and one backward.

Between a block's norm and its mixer's output the stream only passes by. Its gradient is added to the norm's where
that is computed, so the fp32 stream is read and written once less.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.mamba2.modeling_mamba2 import Mamba2Block, Mamba2RMSNorm


class LeanNorm(Mamba2RMSNorm):
    """The same norm in one kernel."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        if hidden_states.dtype != self.weight.dtype:
            usual: Tensor = super().forward(hidden_states)  # type: ignore[no-untyped-call]
            return usual
        return functional.rms_norm(hidden_states, (hidden_states.shape[-1],), self.weight, self.variance_epsilon)


class StreamNorm(LeanNorm):
    """The norm of a block: from the stream to its norm, in the precision of the weight, and the stream itself."""

    def forward(self, stream: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        if not stream.is_cuda:
            return super().forward(stream.to(self.weight.dtype)), stream
        pair: tuple[Tensor, Tensor] = _PassedBy.apply(  # type: ignore[no-untyped-call]
            stream, self.weight, self.variance_epsilon
        )
        return pair


class LeanBlock(Mamba2Block):  # type: ignore[no-untyped-call]
    """transformers' block, around such a norm."""

    def forward(
        self, hidden_states: Tensor, cache_params: Any = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        normed, stream = self.norm(hidden_states)
        if self.residual_in_fp32:
            stream = stream.to(torch.float32)
        mixed = self.mixer(normed, cache_params=cache_params, attention_mask=attention_mask, **kwargs)
        summed: Tensor = stream + mixed
        return summed


class _PassedBy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, stream: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        from triton import next_power_of_2

        from training.stream_norm_kernels import normalize

        width, dense = stream.shape[-1], stream.contiguous()
        out = torch.empty_like(dense, dtype=weight.dtype)
        rounded = torch.empty_like(out)
        deviation = torch.empty(dense.shape[:-1], dtype=torch.float32, device=stream.device)
        with torch.cuda.device(stream.device):
            normalize[(deviation.numel(),)](
                *(dense, weight, rounded, deviation, out, eps, width, next_power_of_2(width)), num_warps=8
            )
        ctx.save_for_backward(rounded, deviation, weight)
        return out, stream.view_as(stream)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from triton import next_power_of_2

        from training.stream_norm_kernels import normalize_backward

        rounded, deviation, weight = ctx.saved_tensors
        of_out, of_stream = (each.contiguous() for each in gradients)
        width, into = rounded.shape[-1], torch.empty_like(of_stream)
        with torch.cuda.device(into.device):
            normalize_backward[(deviation.numel(),)](
                *(of_out, of_stream, weight, rounded, deviation, into, width, next_power_of_2(width)), num_warps=8
            )
        return into, None, None


def lighten_blocks(network: torch.nn.Module) -> None:
    """Give every Mamba2 block and norm of `network` these; weights and names stay as they are."""
    for module in network.modules():
        if type(module) is Mamba2Block:
            module.__class__ = LeanBlock
            module.norm.__class__ = StreamNorm
        elif type(module) is Mamba2RMSNorm:
            module.__class__ = LeanNorm
