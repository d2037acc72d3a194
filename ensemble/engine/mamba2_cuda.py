"""Mamba2's operations on CUDA: Triton kernels around the module's linear maps. Import on CUDA only."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
import triton
from torch import Tensor, nn

from ensemble.engine.mamba2_layer import Layer, Linear, Norm, Rows
from ensemble.engine.mamba2_memory import WINDOW, LayerMemory, Mamba2Shape
from ensemble.engine.mamba2_scan_kernels import carry_states, convolve, scan_blocks, sum_blocks
from ensemble.engine.mamba2_step_kernels import mix_next
from ensemble.engine.norm_kernels import add_normalize, multiply_normed, normalize_groups
from ensemble.engine.packing import Packing

_PROGRAMS = 2048  # enough to fill a large GPU several times over; more only repeat work that heads share


class CudaKernels:
    def normed_linear(self, hidden: Tensor, update: Tensor | None, norm: Norm, linear: Linear) -> Tensor:
        if update is None and len(hidden) == 1 and is_plain(linear):
            out = hidden.new_empty(1, linear.out_features, dtype=norm.weight.dtype)
            _multiply(hidden, norm, linear.weight, out, is_added=False)
            return out
        return linear(_add_normalize(hidden, update, norm))

    def linear_from_gated(self, gated: Tensor, norm: Norm, linear: Linear, hidden: Tensor) -> Tensor | None:
        if len(hidden) == 1 and is_plain(linear):
            _multiply(gated, norm, linear.weight, hidden, is_added=True)
            return None
        return linear(_normalize(gated, norm))

    def mix_next(self, layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> Tensor:
        shape, n = layer.shape, len(projected)
        gated = projected.new_empty(n, shape.inner)
        per = _heads_per_program(shape, n)
        mix_next[n, shape.heads // per](
            rows.slots,
            rows.positions,
            memory.absorbed,
            projected,
            layer.conv_weight,
            layer.conv_bias,
            layer.dt_bias,
            layer.a,
            layer.d,
            memory.state,
            memory.taps,
            memory.x,
            memory.b,
            memory.dt,
            gated,
            HEADS=shape.heads,
            PER=per,
            GROUPS=shape.groups,
            HEAD_DIM=shape.head_dim,
            STATE=shape.state,
            WIDTH=shape.width,
            WINDOW=WINDOW,
            num_warps=4,
        )
        return gated

    def mix_prompts(self, layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
        convolved = _convolve(layer, memory, projected, packing)
        falls, dts, states = _sum_blocks(layer, memory, projected, convolved, packing)
        _carry_states(memory, falls, states, packing)
        return _scan_blocks(layer, projected, (convolved, falls, dts, states), packing)


def is_plain(linear: Linear) -> TypeGuard[nn.Linear]:
    """Whether its weight can be read directly: no quantization, adapter or bias."""
    return type(linear) is nn.Linear and linear.bias is None


def _heads_per_program(shape: Mamba2Shape, rows: int) -> int:
    """As many heads of a group as leave enough programs: heads of one program share the work on B and C."""
    per = shape.heads // shape.groups
    while per > 1 and rows * shape.heads // per < _PROGRAMS:
        per //= 2
    return per


def _multiply(x: Tensor, norm: Norm, weight: Tensor, out: Tensor, *, is_added: bool) -> None:
    rows, width = weight.shape
    columns = min(512, norm.width & -norm.width)
    multiply_normed[(triton.cdiv(rows, 16),)](
        x,
        norm.weight,
        weight,
        out,
        norm.eps,
        ROWS=rows,
        WIDTH=width,
        GROUP=norm.width,
        ADDED=is_added,
        TILE=16,
        COLUMNS=columns,
        num_warps=4,
    )


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


def _convolve(layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
    shape, tokens, columns = layer.shape, min(32, packing.block), 128
    convolved = projected.new_empty(packing.blocks * packing.block, shape.channels)
    convolve[len(convolved) // tokens, triton.cdiv(shape.channels, columns)](
        projected,
        memory.taps,
        layer.conv_weight,
        layer.conv_bias,
        convolved,
        packing.slots,
        packing.starts,
        packing.block_rows,
        packing.block_offsets,
        packing.block_firsts,
        packing.block_counts,
        INNER=shape.inner,
        CHANNELS=shape.channels,
        STRIDE=projected.shape[1],
        WIDTH=shape.width,
        BLOCK=packing.block,
        TOKENS=tokens,
        COLUMNS=columns,
        num_warps=4,
    )
    return convolved


def _sizes(shape: Mamba2Shape, packing: Packing) -> dict[str, Any]:
    return {
        "INNER": shape.inner,
        "CHANNELS": shape.channels,
        "HEADS": shape.heads,
        "HEADS_PER_GROUP": shape.heads // shape.groups,
        "HEAD_DIM": shape.head_dim,
        "STATE": shape.state,
        "BLOCK": packing.block,
    }


def _sum_blocks(
    layer: Layer, memory: LayerMemory, projected: Tensor, convolved: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of decays and time steps (blocks, heads, block), and what the blocks add to the state."""
    shape = layer.shape
    falls = layer.a.new_empty(packing.blocks, shape.heads, packing.block)
    dts = torch.empty_like(falls)
    states = memory.state.new_empty(packing.blocks, *memory.state.shape[1:])
    sum_blocks[packing.blocks, shape.heads](
        projected,
        convolved,
        layer.dt_bias,
        layer.a,
        packing.block_firsts,
        packing.block_counts,
        falls,
        dts,
        states,
        **_sizes(shape, packing),
        num_warps=4,
    )
    return falls, dts, states


def _carry_states(memory: LayerMemory, falls: Tensor, states: Tensor, packing: Packing) -> None:
    _, heads, head_dim, state = states.shape
    size, tile = head_dim * state, min(1024, head_dim * state)
    carry_states[len(packing.slots), heads, size // tile](
        states,
        falls,
        memory.state,
        packing.slots,
        packing.starts,
        packing.row_blocks,
        HEADS=heads,
        SIZE=size,
        BLOCK=packing.block,
        TILE=tile,
        num_warps=4,
    )


def _scan_blocks(layer: Layer, projected: Tensor, scanned: tuple[Tensor, ...], packing: Packing) -> Tensor:
    shape, tile = layer.shape, min(64, packing.block)
    gated = projected.new_empty(len(projected), shape.inner)
    scan_blocks[packing.blocks, shape.heads, packing.block // tile](
        projected,
        *scanned,
        layer.d,
        packing.block_firsts,
        packing.block_counts,
        gated,
        KEYED=shape.keyed,
        TILE=tile,
        **_sizes(shape, packing),
        num_warps=4,
    )
    return gated
