"""Mamba2's operations on CUDA: Triton kernels around the module's linear maps. Import on CUDA only."""

from __future__ import annotations

from typing import TypeGuard

import torch
import triton
from torch import Tensor, nn

from ensemble.engine.mamba2_layer import Gated, Layer, Linear, Norm, Rows
from ensemble.engine.mamba2_memory import WINDOW, LayerMemory, Mamba2Shape
from ensemble.engine.mamba2_scan_kernels import convolve, scan_rows
from ensemble.engine.mamba2_step_kernels import prepare, read_states
from ensemble.engine.norm_kernels import add_normalize, multiply_group_normed, multiply_normed, normalize_groups
from ensemble.engine.packing import Packing

_ROWS_PER_PROGRAM = 4  # of a weight, in the product with one vector


class CudaKernels:
    """One row goes through our own matrix-vector products, several through the linear maps as they are."""

    def normed_linear(self, hidden: Tensor, update: Tensor | None, norm: Norm, linear: Linear) -> Tensor:
        if update is None and len(hidden) == 1 and is_plain(linear):
            return _multiply_normed(hidden, norm, linear.weight)
        return linear(_add_normalize(hidden, update, norm))

    def linear_from_gated(self, gated: Gated, norm: Norm, linear: Linear, hidden: Tensor) -> Tensor | None:
        if len(hidden) == 1 and gated.squares is not None and is_plain(linear):
            _multiply_group_normed(gated, norm, linear.weight, hidden)
            return None
        return linear(_normalize(gated.values, norm))

    def mix_next(self, layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> Gated:
        shape, n = layer.shape, len(projected)
        scratch = _prepare(layer, memory, projected, rows)
        gated = Gated(projected.new_empty(n, shape.inner), layer.a.new_empty(n, shape.heads))
        read_states[n, shape.heads](
            *(rows.slots, rows.positions, projected, *scratch, memory.state, memory.x, memory.b),
            *(gated.values, gated.squares),
            STRIDE=projected.shape[1],
            **_head_sizes(shape),
            GROUPS=shape.groups,
            WINDOW=WINDOW,
            num_warps=4,
        )
        return gated

    def mix_prompts(self, layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Gated:
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
        return Gated(gated)


def is_plain(linear: Linear) -> TypeGuard[nn.Linear]:
    """Whether its weight can be read directly: no quantization, adapter or bias."""
    return type(linear) is nn.Linear and linear.bias is None


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


def _multiply_normed(x: Tensor, norm: Norm, weight: Tensor) -> Tensor:
    rows, width = weight.shape
    out = x.new_empty(1, rows, dtype=norm.weight.dtype)
    multiply_normed[(triton.cdiv(rows, _ROWS_PER_PROGRAM),)](
        *(x, norm.weight, weight, out, norm.eps),
        ROWS=rows,
        WIDTH=width,
        TILE=_ROWS_PER_PROGRAM,
        COLUMNS=_columns(width),
        num_warps=4,
        maxnreg=128,  # a fifth faster than what the compiler chooses by itself
    )
    return out


def _multiply_group_normed(gated: Gated, norm: Norm, weight: Tensor, out: Tensor) -> None:
    (rows, width), squares = weight.shape, gated.squares
    if squares is None:
        raise ValueError("the sums of squares are missing")
    multiply_group_normed[(triton.cdiv(rows, _ROWS_PER_PROGRAM),)](
        *(gated.values, squares, norm.weight, weight, out, norm.eps),
        ROWS=rows,
        WIDTH=width,
        GROUP=norm.width,
        PER=squares.shape[1] * norm.width // width,
        TILE=_ROWS_PER_PROGRAM,
        COLUMNS=_columns(norm.width),
        num_warps=4,
    )


def _columns(width: int) -> int:
    """The largest power of two that divides a row and that registers can hold."""
    return min(1024, width & -width)


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
