"""Mamba2's operations on CUDA: Triton kernels around the module's linear maps. Import on CUDA only."""

from __future__ import annotations

import torch
import triton
from torch import Tensor, nn

from ensemble.engine.dense import LowRankVector, multiply_vector, takes_vector
from ensemble.engine.dense import Norm as VectorNorm
from ensemble.engine.lora import AdaptedLinear
from ensemble.engine.mamba2_layer import Layer, Linear, Norm, Rows
from ensemble.engine.mamba2_memory import WINDOW, LayerMemory, Mamba2Shape
from ensemble.engine.mamba2_scan_kernels import convolve, scan_rows
from ensemble.engine.mamba2_step_kernels import prepare, read_states
from ensemble.engine.norm_kernels import add_normalize, normalize_groups
from ensemble.engine.packing import Packing


class CudaKernels:
    """One row goes through our own product with a vector, several through the linear maps as they are."""

    def normed_linear(self, hidden: Tensor, update: Tensor | None, norm: Norm, linear: Linear) -> Tensor:
        weight = _vector_weight(linear) if update is None and len(hidden) == 1 else None
        if weight is None:
            return linear(_add_normalize(hidden, update, norm))
        vector_norm = VectorNorm(norm.weight, norm.eps)
        out = hidden.new_empty((1, len(weight)), dtype=weight.dtype)
        low_rank = _low_rank(linear, hidden, norm=vector_norm)
        return multiply_vector(hidden, weight, out, norm=vector_norm, low_rank=low_rank)

    def linear_from_gated(self, gated: Tensor, norm: Norm, linear: Linear, hidden: Tensor) -> Tensor | None:
        normed = _normalize(gated, norm)
        weight = _vector_weight(linear) if len(hidden) == 1 else None
        if weight is None:
            return linear(normed)
        multiply_vector(normed, weight, hidden, low_rank=_low_rank(linear, normed), added=True)
        return None

    def mix_next(self, layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> Tensor:
        shape, n = layer.shape, len(projected)
        scratch = _prepare(layer, memory, projected, rows)
        gated = projected.new_empty(n, shape.inner)
        read_states[n, shape.heads](
            *(rows.slots, rows.positions, projected, *scratch, memory.state, memory.x, memory.b, gated),
            STRIDE=projected.shape[1],
            **_head_sizes(shape),
            GROUPS=shape.groups,
            WINDOW=WINDOW,
            num_warps=4,
        )
        return gated

    def mix_prompts(self, layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
        shape = layer.shape
        convolved = _convolve(layer, memory, projected, packing)
        gated = projected.new_empty(len(projected), shape.inner)
        scan_rows[len(packing.slots), shape.heads](
            *(projected, convolved, memory.state, layer.dt_bias, layer.a, layer.d),
            *(packing.slots, packing.starts, packing.firsts, gated),
            INNER=shape.inner,
            KEYED=shape.keyed,
            HEADS_PER_GROUP=shape.heads // shape.groups,
            **_head_sizes(shape),
            BLOCK=shape.block,
            num_warps=4,
            num_stages=2,
        )
        return gated


def _vector_weight(linear: Linear) -> Tensor | None:
    """What `multiply_vector` reads in its place, if it can; not 4-bit weights."""
    base: object = linear.base if isinstance(linear, AdaptedLinear) else linear
    if type(base) is not nn.Linear or "bias" in dict(base.named_parameters()):
        return None
    return base.weight if takes_vector(base.weight) else None


def _low_rank(linear: Linear, x: Tensor, *, norm: VectorNorm | None = None) -> LowRankVector | None:
    """What its adapters add for one vector."""
    if not isinstance(linear, AdaptedLinear):
        return None
    low = multiply_vector(x, linear.down, x.new_empty((1, len(linear.down)), dtype=torch.float32), norm=norm)
    return LowRankVector(low, linear.mask, linear.up)


def _head_sizes(shape: Mamba2Shape) -> dict[str, int]:
    return {"HEADS": shape.heads, "HEAD_DIM": shape.head_dim, "STATE": shape.state}


def _prepare(layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> tuple[Tensor, ...]:
    """Queries, gains, shares and lefts: what passes from the first kernel of a step to the second."""
    shape, n = layer.shape, len(projected)
    scratch = (
        projected.new_empty(n, shape.keyed),
        layer.a.new_empty(n, WINDOW, shape.heads),
        layer.a.new_empty(n, WINDOW, shape.heads),
        layer.a.new_empty(n, shape.heads),
    )
    prepare[n, shape.groups](
        *(rows.slots, rows.positions, memory.absorbed, projected),
        *(layer.conv_weight, layer.conv_bias, layer.dt_bias, layer.a, layer.d),
        *(memory.taps, memory.x, memory.b, memory.dt),
        *scratch,
        **_head_sizes(shape),
        GROUPS=shape.groups,
        WIDTH=shape.width,
        WINDOW=WINDOW,
        num_warps=4,
    )
    return scratch


def _convolve(layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
    shape, tokens, columns = layer.shape, 32, 128
    convolved = projected.new_empty(len(projected), shape.channels)
    convolve[triton.cdiv(len(projected), tokens), triton.cdiv(shape.channels, columns)](
        *(projected, memory.taps, layer.conv_weight, layer.conv_bias, convolved),
        *(packing.slots, packing.starts, packing.firsts, packing.rows, len(projected)),
        INNER=shape.inner,
        CHANNELS=shape.channels,
        STRIDE=projected.shape[1],
        WIDTH=shape.width,
        TOKENS=tokens,
        COLUMNS=columns,
        num_warps=4,
    )
    return convolved


def _add_normalize(hidden: Tensor, update: Tensor | None, norm: Norm) -> Tensor:
    out = torch.empty_like(hidden, dtype=norm.weight.dtype)
    columns = triton.next_power_of_2(norm.width)
    add_normalize[(len(hidden),)](
        *(hidden, update, norm.weight, out, norm.eps),
        WIDTH=norm.width,
        COLUMNS=columns,
        ADDED=update is not None,
        num_warps=8,
    )
    return out


def _normalize(values: Tensor, norm: Norm) -> Tensor:
    out = torch.empty_like(values)
    groups = values.shape[1] // norm.width
    columns = triton.next_power_of_2(norm.width)
    normalize_groups[len(values), groups](
        *(values, norm.weight, out, norm.eps), GROUPS=groups, WIDTH=norm.width, COLUMNS=columns, num_warps=4
    )
    return out
