"""Mamba2's operations in plain torch: what runs on a CPU, and what the CUDA kernels are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from ensemble.engine.mamba2_layer import Layer, Linear, Norm, Rows
from ensemble.engine.mamba2_memory import WINDOW, LayerMemory
from ensemble.engine.packing import Packing


class TorchKernels:
    """Rows must all be live."""

    def normed_linear(self, hidden: Tensor, update: Tensor | None, norm: Norm, linear: Linear) -> Tensor:
        if update is not None:
            hidden += update
        return linear(normalize(hidden, norm))

    def linear_from_gated(self, gated: Tensor, norm: Norm, linear: Linear, hidden: Tensor) -> Tensor | None:
        return linear(normalize(gated, norm))

    def mix_next(self, layer: Layer, memory: LayerMemory, projected: Tensor, rows: Rows) -> Tensor:
        gate, fresh, raw_dt = torch.split(projected, layer.shape.parts, dim=-1)
        x, b, c = _convolve_next(layer, memory, fresh, rows)
        _remember(memory, rows, x, b, dt=functional.softplus(raw_dt.float() + layer.dt_bias))
        y = _replay(layer, memory, rows, _keys(layer, c)).flatten(1) + x.float() * _per_channel(layer)
        return (y * functional.silu(gate.float())).to(projected.dtype)

    def mix_prompts(self, layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
        gate, fresh, raw_dt = torch.split(projected, layer.shape.parts, dim=-1)
        convolved = torch.empty_like(fresh)
        y = layer.a.new_empty(len(fresh), layer.shape.inner)
        bounds = pairwise(packing.firsts.tolist())
        for slot, start, (first, end) in zip(packing.slots, packing.starts, bounds, strict=True):
            if first == end:
                continue
            piece = slice(first, end)
            before = _taps(layer, memory, slot[None], start[None])[0]
            convolved[piece] = _convolve_piece(layer, torch.cat([before, fresh[piece]]))
            state = memory.state[slot] if start > 0 else torch.zeros_like(memory.state[slot])
            y[piece], memory.state[slot] = _scan_piece(layer, convolved[piece], raw_dt[piece], state)
        y += convolved[:, : layer.shape.inner].float() * _per_channel(layer)
        return (y * functional.silu(gate.float())).to(projected.dtype)


def normalize(values: Tensor, norm: Norm) -> Tensor:
    """RMS norm over groups, in fp32, in the dtype of its weight."""
    groups = values.float().reshape(len(values), -1, norm.width)
    scaled = groups * torch.rsqrt(groups.square().mean(-1, keepdim=True) + norm.eps)
    return norm.weight * scaled.flatten(1).to(norm.weight.dtype)


def _per_channel(layer: Layer) -> Tensor:
    return layer.d.repeat_interleave(layer.shape.head_dim)


def _by_group(layer: Layer, values: Tensor, dim: int = 1) -> Tensor:
    """Dimension `dim`, of heads, as (groups, heads of the group)."""
    return values.reshape(*values.shape[:dim], layer.shape.groups, -1, *values.shape[dim + 1 :])


def _keys(layer: Layer, values: Tensor) -> Tensor:
    """B or C (..., keyed) as (..., groups, state) in fp32."""
    return values.float().reshape(*values.shape[:-1], layer.shape.groups, layer.shape.state)


def _split(layer: Layer, convolved: Tensor) -> Sequence[Tensor]:
    """x, B and C."""
    return torch.split(convolved, [layer.shape.inner, layer.shape.keyed, layer.shape.keyed], dim=-1)


def _taps(layer: Layer, memory: LayerMemory, slots: Tensor, positions: Tensor) -> Tensor:
    """Inputs before `positions`, oldest first, zero before the beginning: (n, width - 1, channels)."""
    width = layer.shape.width
    then = positions[:, None] - torch.arange(width - 1, 0, -1, device=positions.device)  # (n, width - 1)
    return memory.taps[slots[:, None], then % width].where((then >= 0)[:, :, None], 0)


def _convolve_next(layer: Layer, memory: LayerMemory, fresh: Tensor, rows: Rows) -> Sequence[Tensor]:
    inputs = torch.cat([_taps(layer, memory, rows.slots, rows.positions), fresh[:, None]], dim=1)
    memory.taps[rows.slots, rows.positions % layer.shape.width] = fresh
    sums = (inputs.float() * layer.conv_weight.float()).sum(1) + layer.conv_bias.float()
    return _split(layer, functional.silu(sums).to(fresh.dtype))


def _remember(memory: LayerMemory, rows: Rows, x: Tensor, b: Tensor, *, dt: Tensor) -> None:
    at = rows.positions % WINDOW
    memory.x[rows.slots, at] = x
    memory.b[rows.slots, at] = b
    memory.dt[rows.slots, at] = dt


def _replay(layer: Layer, memory: LayerMemory, rows: Rows, queries: Tensor) -> Tensor:
    """What queries (n, groups, state) read of the state after this token: (n, groups, heads, head_dim) in fp32.

    The state itself is computed, and written, only where the window is full; elsewhere the window is attended to.
    """
    at = rows.positions % WINDOW
    steps = torch.arange(WINDOW, device=at.device)
    since = memory.absorbed[rows.slots] - (rows.positions - at)
    pending = ((steps >= since[:, None]) & (steps <= at[:, None]))[:, :, None]  # (n, WINDOW, 1)
    dt = memory.dt[rows.slots].where(pending, 0)
    fall = layer.a * dt  # (n, WINDOW, heads)
    gain = torch.exp(fall.sum(1, keepdim=True) - fall.cumsum(1)) * dt
    x = memory.x[rows.slots].float().where(pending, 0).reshape(*gain.shape, -1)
    inputs = _by_group(layer, gain[..., None] * x, dim=2)  # (n, WINDOW, groups, heads, head_dim)
    b = _keys(layer, memory.b[rows.slots]).where(pending[..., None], 0)
    rest = torch.exp(fall.sum(1))  # of the state before the window, (n, heads)
    before = memory.state[rows.slots].float()
    held = torch.einsum("nghps,ngs->nghp", _by_group(layer, before), queries) * _by_group(layer, rest)[..., None]
    scores = torch.einsum("ngs,nwgs->nwg", queries, b)
    is_full = at == WINDOW - 1
    if is_full.any():
        gained = torch.einsum("nwghp,nwgs->nghps", inputs[is_full], b[is_full]).flatten(1, 2)
        after = before[is_full] * rest[is_full][:, :, None, None] + gained
        memory.state[rows.slots[is_full]] = after.to(memory.state.dtype)
    return held + (scores[..., None, None] * inputs).sum(1)


def _convolve_piece(layer: Layer, inputs: Tensor) -> Tensor:
    """Of `width - 1` inputs more than outputs."""
    weight = layer.conv_weight.t().unsqueeze(1).float()
    channels = inputs.t().float()[None]  # (1, channels, inputs)
    sums = functional.conv1d(channels, weight, layer.conv_bias.float(), groups=layer.shape.channels)[0]
    return functional.silu(sums).t().to(inputs.dtype)


def _scan_piece(layer: Layer, convolved: Tensor, raw_dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (tokens, inner) of a scan in blocks, and the state after it, in the dtype of that before."""
    outputs, block = [], layer.shape.block
    for values, raw in zip(torch.split(convolved, block), torch.split(raw_dt, block), strict=True):
        dt = functional.softplus(raw.float() + layer.dt_bias)
        y, after = _scan_block(layer, values, dt, state.float())
        # Rounded at every edge, so that it does not matter which edge ended a chunk.
        state = after.to(state.dtype)
        outputs.append(y)
    return torch.cat(outputs), state


def _scan_block(layer: Layer, values: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (tokens, inner) and the state after one block, given the state before it; all in fp32."""
    x, b, c = _split(layer, values)
    x = _by_group(layer, x.float().reshape(*dt.shape, -1))  # (l, g, h, p)
    keys, queries = _keys(layer, b), _keys(layer, c)  # (l, g, s)
    fall = (layer.a * dt).cumsum(0)  # (l, heads)
    between = fall[:, None] - fall[None]  # (l, m, heads), meant where m <= l
    is_past = torch.ones(len(dt), len(dt), dtype=torch.bool, device=dt.device).tril()
    weight = torch.exp(between.where(is_past[:, :, None], -torch.inf)) * dt[None]
    scores = torch.einsum("lgs,mgs->lmg", queries, keys)[..., None] * _by_group(layer, weight, dim=2)
    y = torch.einsum("lmgh,mghp->lghp", scores, x)
    held = torch.einsum("lgs,ghps->lghp", queries, _by_group(layer, state, dim=0))
    y += held * _by_group(layer, torch.exp(fall))[..., None]
    gain = _by_group(layer, torch.exp(fall[-1] - fall) * dt)[..., None]
    gained = torch.einsum("lghp,lgs->ghps", x * gain, keys).flatten(0, 1)
    return y.flatten(1), state * torch.exp(fall[-1])[:, None, None] + gained
