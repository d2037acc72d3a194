"""One Mamba2 layer: the weights of its transformers module, and its forward above the kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ensemble.engine.mamba2_memory import LayerMemory, Mamba2Shape
from ensemble.engine.packing import Packing

Linear = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Norm:
    """An RMS norm over groups of `width` values."""

    weight: Tensor
    eps: float
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Weights of one layer. Linear maps stay the module's own, so 4-bit weights and adapters work unseen."""

    shape: Mamba2Shape
    norm: Norm
    in_proj: Linear
    conv_weight: Tensor  # (width, channels), the newest tap last
    conv_bias: Tensor  # (channels,)
    dt_bias: Tensor  # (heads,), fp32
    a: Tensor  # (heads,), fp32, negative
    d: Tensor  # (heads,), fp32
    gated_norm: Norm
    out_proj: Linear


@dataclass(frozen=True, slots=True)
class Rows:
    """Which slots go one token further, and how many tokens each has before it; both (n,), int64.

    A row whose slot is negative is dead: nothing is read or written for it, and what comes out is undefined.
    """

    slots: Tensor
    positions: Tensor


class Mamba2Kernels(Protocol):
    """The operations that differ between devices. `hidden` is the residual stream, changed in place.

    `update` is what a layer adds to it, not yet added; None when it is added already.
    """

    def normed_linear(self, hidden: Tensor, update: Tensor | None, norm: Norm, linear: Linear) -> Tensor:
        """Add `update` to `hidden` and map its norm."""

    def mix_next(self, layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> Tensor:
        """Convolve and update by one token; gated outputs (n, inner), not yet normed."""

    def mix_prompts(self, layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
        """Convolve and scan pieces of prompts; gated outputs (tokens, inner), not yet normed."""

    def linear_from_gated(self, gated: Tensor, norm: Norm, linear: Linear, hidden: Tensor) -> Tensor | None:
        """Map the grouped norm of `gated`: the update of `hidden`."""


def forward_next(
    kernels: Mamba2Kernels, layer: Layer, memory: LayerMemory, *, rows: Rows, hidden: Tensor, update: Tensor | None
) -> Tensor | None:
    """One layer for one token per row; returns its update."""
    projected = kernels.normed_linear(hidden, update, layer.norm, layer.in_proj)
    gated = kernels.mix_next(layer, memory, projected, rows)
    return kernels.linear_from_gated(gated, layer.gated_norm, layer.out_proj, hidden)


def forward_prompts(
    kernels: Mamba2Kernels,
    layer: Layer,
    memory: LayerMemory,
    *,
    packing: Packing,
    hidden: Tensor,
    update: Tensor | None,
) -> Tensor | None:
    """One layer for pieces of prompts; returns its update."""
    shape = layer.shape
    projected = kernels.normed_linear(hidden, update, layer.norm, layer.in_proj)
    gated = kernels.mix_prompts(layer, memory, projected, packing)
    # Only now: the convolution still needed what these overwrite.
    taps = projected[packing.tail_tokens, shape.inner : shape.inner + shape.channels]
    memory.taps.view(-1, shape.channels).index_copy_(0, packing.tail_places, taps)
    return kernels.linear_from_gated(gated, layer.gated_norm, layer.out_proj, hidden)


def read_layer(block: Any, shape: Mamba2Shape) -> Layer:
    """The weights of one `Mamba2Block`; only the small ones are copied."""
    mixer = block.mixer
    weight = mixer.conv1d.weight
    bias = mixer.conv1d.bias
    return Layer(
        shape=shape,
        norm=read_norm(block.norm),
        in_proj=mixer.in_proj,
        conv_weight=weight.detach().squeeze(1).t().contiguous(),
        conv_bias=weight.new_zeros(shape.channels) if bias is None else bias.detach(),
        dt_bias=mixer.dt_bias.detach().float(),
        a=-torch.exp(mixer.A_log.detach().float()),
        d=mixer.D.detach().float(),
        gated_norm=read_norm(mixer.norm, groups=shape.groups),
        out_proj=mixer.out_proj,
    )


def read_norm(module: Any, *, groups: int = 1) -> Norm:
    weight = module.weight.detach()
    return Norm(weight, module.variance_epsilon, weight.numel() // groups)
