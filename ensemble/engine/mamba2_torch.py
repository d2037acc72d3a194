"""Mamba2's operations in plain torch: what runs on a CPU, and what the CUDA kernels are measured against."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

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
        gate, fresh, raw_dt = projected.split(layer.shape.parts, dim=-1)
        x, b, c = _convolve_next(layer, memory, fresh, rows)
        _remember(memory, rows, x, b, dt=F.softplus(raw_dt.float() + layer.dt_bias))
        state = _replay(layer, memory, rows)  # (n, heads, head_dim, state)
        y = torch.einsum("nghps,ngs->nghp", _by_group(layer, state), _keys(layer, c))
        y = y.flatten(1) + x.float() * _per_channel(layer)
        return (y * F.silu(gate.float())).to(projected.dtype)

    def mix_prompts(self, layer: Layer, memory: LayerMemory, projected: Tensor, packing: Packing) -> Tensor:
        gate, fresh, raw_dt = projected.split(layer.shape.parts, dim=-1)
        convolved = torch.empty_like(fresh)
        y = layer.a.new_empty(len(fresh), layer.shape.inner)
        for row, (first, end) in enumerate(pairwise(packing.firsts.tolist())):
            piece = slice(first, end)
            convolved[piece] = _convolve_piece(layer, memory, fresh[piece], packing, row)
            y[piece] = _scan_piece(layer, memory, convolved[piece], raw_dt[piece], packing, row)
        y += convolved[:, : layer.shape.inner].float() * _per_channel(layer)
        return (y * F.silu(gate.float())).to(projected.dtype)


def normalize(values: Tensor, norm: Norm) -> Tensor:
    """RMS norm over groups, in fp32, in the dtype of its weight."""
    groups = values.float().unflatten(-1, (-1, norm.width))
    scaled = groups * torch.rsqrt(groups.square().mean(-1, keepdim=True) + norm.eps)
    return norm.weight * scaled.flatten(-2).to(norm.weight.dtype)


def _per_channel(layer: Layer) -> Tensor:
    return layer.d.repeat_interleave(layer.shape.head_dim)


def _by_group(layer: Layer, values: Tensor) -> Tensor:
    """(n, heads, ...) as (n, groups, heads of the group, ...)."""
    return values.unflatten(1, (layer.shape.groups, -1))


def _keys(layer: Layer, values: Tensor) -> Tensor:
    """B or C (n, keyed) as (n, groups, state) in fp32."""
    return values.float().unflatten(-1, (layer.shape.groups, layer.shape.state))


def _split(layer: Layer, convolved: Tensor) -> tuple[Tensor, ...]:
    return convolved.split([layer.shape.inner, layer.shape.keyed, layer.shape.keyed], dim=-1)


def _taps(layer: Layer, memory: LayerMemory, slots: Tensor, positions: Tensor) -> Tensor:
    """The width - 1 inputs before `positions`, oldest first, zero before the beginning: (n, width - 1, channels)."""
    width = layer.shape.width
    then = positions[:, None] - torch.arange(width - 1, 0, -1, device=positions.device)  # (n, width - 1)
    return memory.taps[slots[:, None], then % width] * (then >= 0)[:, :, None]


def _convolve_next(layer: Layer, memory: LayerMemory, fresh: Tensor, rows: Rows) -> tuple[Tensor, ...]:
    inputs = torch.cat([_taps(layer, memory, rows.slots, rows.positions), fresh[:, None]], dim=1)
    memory.taps[rows.slots, rows.positions % layer.shape.width] = fresh
    sums = (inputs.float() * layer.conv_weight.float()).sum(1) + layer.conv_bias.float()
    return _split(layer, F.silu(sums).to(fresh.dtype))


def _remember(memory: LayerMemory, rows: Rows, x: Tensor, b: Tensor, *, dt: Tensor) -> None:
    at = rows.positions % WINDOW
    memory.x[rows.slots, at] = x
    memory.b[rows.slots, at] = b
    memory.dt[rows.slots, at] = dt


def _replay(layer: Layer, memory: LayerMemory, rows: Rows) -> Tensor:
    """The state after this token, in fp32; written where the window is full."""
    at = rows.positions % WINDOW
    steps = torch.arange(WINDOW, device=at.device)
    since = memory.absorbed[rows.slots] - (rows.positions - at)
    pending = ((steps >= since[:, None]) & (steps <= at[:, None]))[:, :, None]  # (n, WINDOW, 1)
    dt = memory.dt[rows.slots].where(pending, 0)
    x = memory.x[rows.slots].float().where(pending, 0).unflatten(2, (layer.shape.heads, -1))
    b = _keys(layer, memory.b[rows.slots]).where(pending[..., None], 0)
    fall = layer.a * dt  # (n, WINDOW, heads)
    gain = torch.exp(fall.sum(1, keepdim=True) - fall.cumsum(1)) * dt
    inputs = (gain[..., None] * x).unflatten(2, (layer.shape.groups, -1))  # (n, WINDOW, groups, heads, head_dim)
    gained = torch.einsum("nwghp,nwgs->nghps", inputs, b).flatten(1, 2)
    state = memory.state[rows.slots] * torch.exp(fall.sum(1))[:, :, None, None] + gained
    is_full = at == WINDOW - 1
    memory.state[rows.slots[is_full]] = state[is_full].to(memory.state.dtype)
    return state


def _convolve_piece(layer: Layer, memory: LayerMemory, fresh: Tensor, packing: Packing, row: int) -> Tensor:
    before = _taps(layer, memory, packing.slots[row : row + 1], packing.starts[row : row + 1])[0]
    inputs = torch.cat([before, fresh]).t().float()  # (channels, width - 1 + tokens)
    weight = layer.conv_weight.t().unsqueeze(1).float()
    sums = F.conv1d(inputs[None], weight, layer.conv_bias.float(), groups=layer.shape.channels)[0]
    return F.silu(sums).t().to(fresh.dtype)


def _scan_piece(
    layer: Layer, memory: LayerMemory, convolved: Tensor, raw_dt: Tensor, packing: Packing, row: int
) -> Tensor:
    """Outputs (tokens, inner) of the scan in blocks; the state goes on from the slot's, or from nothing at 0."""
    slot = packing.slots[row]
    state = memory.state[slot].float() if packing.starts[row] > 0 else layer.a.new_zeros(memory.state.shape[1:])
    outputs = []
    for values, raw in zip(convolved.split(layer.shape.block), raw_dt.split(layer.shape.block), strict=True):
        dt = F.softplus(raw.float() + layer.dt_bias)
        y, state = _scan_block(layer, values, dt, state)
        # Rounded at every edge, so that it does not matter which edge ended a chunk.
        state = state.to(memory.state.dtype).float()
        outputs.append(y)
    memory.state[slot] = state.to(memory.state.dtype)
    return torch.cat(outputs)


def _scan_block(layer: Layer, values: Tensor, dt: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (tokens, inner) and the state after one block, given the state before it."""
    groups = layer.shape.groups
    x, b, c = _split(layer, values)
    x = x.float().unflatten(-1, (groups, -1, layer.shape.head_dim))  # (l, g, h, p)
    keys, queries = _keys(layer, b), _keys(layer, c)  # (l, g, s)
    fall = (layer.a * dt).cumsum(0)  # (l, heads)
    between = fall[:, None] - fall[None]  # (l, s, heads), meant where s <= l
    is_past = torch.ones(len(dt), len(dt), dtype=torch.bool, device=dt.device).tril()
    weight = torch.exp(between.where(is_past[:, :, None], -torch.inf)) * dt[None]
    scores = torch.einsum("lgs,mgs->lmg", queries, keys)[..., None] * weight.unflatten(-1, (groups, -1))
    y = torch.einsum("lmgh,mghp->lghp", scores, x)
    held = state.unflatten(0, (groups, -1))  # (g, h, p, s)
    y += torch.einsum("lgs,ghps->lghp", queries, held) * torch.exp(fall).unflatten(-1, (groups, -1))[..., None]
    gain = (torch.exp(fall[-1] - fall) * dt).unflatten(-1, (groups, -1))[..., None]
    gained = torch.einsum("lghp,lgs->ghps", x * gain, keys).flatten(0, 1)
    return y.flatten(1), state * torch.exp(fall[-1])[:, None, None] + gained
