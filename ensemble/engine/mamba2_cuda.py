"""Mamba2's operations on CUDA: Triton kernels around the module's linear maps. Import on CUDA only."""

from __future__ import annotations

from typing import TypeGuard

import torch
import triton
from torch import Tensor, nn

from ensemble.engine.mamba2_layer import Layer, Linear, Norm, Rows
from ensemble.engine.mamba2_memory import WINDOW, LayerMemory
from ensemble.engine.mamba2_scan_kernels import convolve, scan_rows
from ensemble.engine.mamba2_step_kernels import prepare, read_states
from ensemble.engine.norm_kernels import add_normalize, multiply_added, multiply_normed, normalize_groups
from ensemble.engine.packing import Packing

class CudaKernels:
    def normed_linear(self, hidden: Tensor, update: Tensor | None, norm: Norm, linear: Linear) -> Tensor:
        if update is None and len(hidden) == 1 and is_plain(linear):
            out = hidden.new_empty(1, linear.out_features, dtype=norm.weight.dtype)
            _multiply_normed(hidden, norm, linear.weight, out)
            return out
        return linear(_add_normalize(hidden, update, norm))

    def linear_from_gated(self, gated: Tensor, norm: Norm, linear: Linear, hidden: Tensor) -> Tensor | None:
        normed = _normalize(gated, norm)
        if len(hidden) == 1 and is_plain(linear):
            _multiply_added(normed, linear.weight, hidden)
            return None
        return linear(normed)

    def mix_next(self, layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> Tensor:
        prepared = _prepare(layer, memory, projected, rows)
        return _read_states(layer, memory, projected, rows, prepared=prepared)

    def mix_prompts(self, layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
        convolved = _convolve(layer, memory, projected, packing)
        return _scan_rows(layer, memory, projected, convolved, packing=packing)


def is_plain(linear: Linear) -> TypeGuard[nn.Linear]:
    """Whether its weight can be read directly: no quantization, adapter or bias."""
    return type(linear) is nn.Linear and linear.bias is None


def _multiply_normed(x: Tensor, norm: Norm, weight: Tensor, out: Tensor) -> None:
    rows, width = weight.shape
    multiply_normed[(triton.cdiv(rows, 4),)](
        x,
        norm.weight,
        weight,
        out,
        norm.eps,
        ROWS=rows,
        WIDTH=width,
        TILE=4,
        COLUMNS=_columns(width),
        num_warps=4,
        maxnreg=128,
    )


def _multiply_added(x: Tensor, weight: Tensor, out: Tensor) -> None:
    rows, width = weight.shape
    multiply_added[(triton.cdiv(rows, 4),)](
        x, weight, out, ROWS=rows, WIDTH=width, TILE=4, COLUMNS=_columns(width), num_warps=4
    )


def _columns(width: int) -> int:
    """The largest power of two that divides a row and that registers can hold."""
    return min(1024, width & -width)


def _add_normalize(hidden: Tensor, update: Tensor | None, norm: Norm) -> Tensor:
    out = torch.empty_like(hidden, dtype=norm.weight.dtype)
    add_normalize[(len(hidden),)](
        hidden,
        update,
        norm.weight,
        out,
        norm.eps,
        WIDTH=norm.width,
        COLUMNS=triton.next_power_of_2(norm.width),
        ADDED=update is not None,
        num_warps=8,
    )
    return out


def _normalize(values: Tensor, norm: Norm) -> Tensor:
    out = torch.empty_like(values)
    groups = values.shape[1] // norm.width
    columns = triton.next_power_of_2(norm.width)
    normalize_groups[len(values), groups](
        values, norm.weight, out, norm.eps, GROUPS=groups, WIDTH=norm.width, COLUMNS=columns, num_warps=4
    )
    return out


def _prepare(layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> tuple[Tensor, ...]:
    """The scratch that passes from the first kernel to the second."""
    shape, n = layer.shape, len(projected)
    prepared = (
        projected.new_empty(n, shape.keyed),
        layer.a.new_empty(n, WINDOW, shape.heads),
        layer.a.new_empty(n, WINDOW, shape.heads),
        layer.a.new_empty(n, shape.heads),
    )
    prepare[n, shape.groups](
        rows.slots,
        rows.positions,
        memory.absorbed,
        projected,
        layer.conv_weight,
        layer.conv_bias,
        layer.dt_bias,
        layer.a,
        layer.d,
        memory.taps,
        memory.x,
        memory.b,
        memory.dt,
        *prepared,
        HEADS=shape.heads,
        GROUPS=shape.groups,
        HEAD_DIM=shape.head_dim,
        STATE=shape.state,
        WIDTH=shape.width,
        WINDOW=WINDOW,
        num_warps=4,
    )
    return prepared


def _read_states(
    layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows, *, prepared: tuple[Tensor, ...]
) -> Tensor:
    shape, n = layer.shape, len(projected)
    gated = projected.new_empty(n, shape.inner)
    read_states[n, shape.heads](
        rows.slots,
        rows.positions,
        projected,
        *prepared,
        memory.state,
        memory.x,
        memory.b,
        gated,
        STRIDE=projected.shape[1],
        HEADS=shape.heads,
        GROUPS=shape.groups,
        HEAD_DIM=shape.head_dim,
        STATE=shape.state,
        WINDOW=WINDOW,
        num_warps=4,
    )
    return gated


def _convolve(layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
    shape, tokens, columns = layer.shape, 32, 128
    convolved = projected.new_empty(len(projected), shape.channels)
    convolve[triton.cdiv(len(projected), tokens), triton.cdiv(shape.channels, columns)](
        projected,
        memory.taps,
        layer.conv_weight,
        layer.conv_bias,
        convolved,
        packing.slots,
        packing.starts,
        packing.firsts,
        packing.rows,
        len(projected),
        INNER=shape.inner,
        CHANNELS=shape.channels,
        STRIDE=projected.shape[1],
        WIDTH=shape.width,
        TOKENS=tokens,
        COLUMNS=columns,
        num_warps=4,
    )
    return convolved


def _scan_rows(
    layer: Layer, memory: LayerMemory, projected: Tensor, convolved: Tensor, *, packing: Packing
) -> Tensor:
    shape = layer.shape
    gated = projected.new_empty(len(projected), shape.inner)
    dims = min(32, shape.head_dim)
    scan_rows[shape.head_dim // dims, shape.heads, len(packing.slots)](
        projected,
        convolved,
        memory.state,
        layer.dt_bias,
        layer.a,
        layer.d,
        packing.slots,
        packing.starts,
        packing.firsts,
        gated,
        INNER=shape.inner,
        KEYED=shape.keyed,
        HEADS=shape.heads,
        HEADS_PER_GROUP=shape.heads // shape.groups,
        HEAD_DIM=shape.head_dim,
        STATE=shape.state,
        BLOCK=shape.block,
        DIMS=dims,
        num_warps=4,
        num_stages=2,
    )
    return gated
