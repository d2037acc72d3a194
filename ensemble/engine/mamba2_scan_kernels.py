"""The Triton kernels of Mamba2 over prompts packed into blocks (see `packing`). Import on CUDA only.

Shapes: projected (tokens, INNER + CHANNELS + HEADS), convolved (blocks * BLOCK, CHANNELS) and zero where a block has
no token, falls and dts (blocks, HEADS, BLOCK), states (blocks, HEADS, HEAD_DIM, STATE).
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from ensemble.engine.mamba2_step_kernels import softplus


@triton.jit
def convolve(
    projected: Any,
    taps: Any,
    weight: Any,
    bias: Any,
    convolved: Any,
    slots: Any,
    starts: Any,
    block_rows: Any,
    block_offsets: Any,
    block_firsts: Any,
    block_counts: Any,
    INNER: tl.constexpr,
    CHANNELS: tl.constexpr,
    STRIDE: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """The convolution, spread over blocks. Grid (blocks * BLOCK / TOKENS, CHANNELS / COLUMNS)."""
    block, inside = tl.program_id(0) * TOKENS // BLOCK, tl.program_id(0) * TOKENS % BLOCK + tl.arange(0, TOKENS)
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    row, first = tl.load(block_rows + block), tl.load(block_firsts + block)
    offset, start = (tl.load(block_offsets + block) + inside)[:, None], tl.load(starts + row)
    real = (inside < tl.load(block_counts + block))[:, None] & (channel < CHANNELS)
    token = projected + (first + inside)[:, None] * STRIDE + INNER + channel
    tap = taps + tl.load(slots + row) * WIDTH * CHANNELS + channel
    sums = tl.zeros((TOKENS, COLUMNS), tl.float32) + tl.load(bias + channel, mask=channel < CHANNELS, other=0.0)
    for back in tl.static_range(0, WIDTH):
        place = (start + offset + WIDTH - back) % WIDTH
        near = tl.load(token - back * STRIDE, mask=real & (offset >= back), other=0.0)
        far_mask = real & (offset < back) & (start + offset >= back)
        far = tl.load(tap + place * CHANNELS, mask=far_mask, other=0.0)
        scale = tl.load(weight + (WIDTH - 1 - back) * CHANNELS + channel, mask=channel < CHANNELS, other=0.0)
        sums += (near + far).to(tl.float32) * scale.to(tl.float32)
    out = convolved + (block * BLOCK + inside)[:, None].to(tl.int64) * CHANNELS + channel
    value = tl.where(real, sums * tl.sigmoid(sums), 0.0)
    tl.store(out, value.to(convolved.dtype.element_ty), mask=channel < CHANNELS)


@triton.jit
def sum_blocks(
    projected: Any,
    convolved: Any,
    dt_bias: Any,
    a: Any,
    block_firsts: Any,
    block_counts: Any,
    falls: Any,
    dts: Any,
    states: Any,
    INNER: tl.constexpr,
    CHANNELS: tl.constexpr,
    HEADS: tl.constexpr,
    HEADS_PER_GROUP: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Time steps, the sums of their decays, and what each block adds to the state. Grid (blocks, HEADS)."""
    block, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    inside, dim, key = tl.arange(0, BLOCK), tl.arange(0, HEAD_DIM), tl.arange(0, STATE)
    token = (tl.load(block_firsts + block) + inside) * (INNER + CHANNELS + HEADS) + INNER + CHANNELS + head
    real = inside < tl.load(block_counts + block)
    dt = softplus(tl.load(projected + token, mask=real, other=0.0).to(tl.float32) + tl.load(dt_bias + head))
    dt = tl.where(real, dt, 0.0)  # a place without a token leaves the state as it is
    fall = dt * tl.load(a + head)
    falls_here = tl.cumsum(fall, 0)
    tl.store(falls + (block * HEADS + head) * BLOCK + inside, falls_here)
    tl.store(dts + (block * HEADS + head) * BLOCK + inside, dt)
    values = convolved + (block * BLOCK + inside)[:, None] * CHANNELS
    x = tl.load(values + head * HEAD_DIM + dim[None, :])
    b = tl.load(values + INNER + head // HEADS_PER_GROUP * STATE + key[None, :])
    gained = x.to(tl.float32) * (tl.exp(tl.sum(fall, 0) - falls_here) * dt)[:, None]
    state = tl.dot(tl.trans(gained.to(x.dtype)), b, input_precision="ieee")
    place = states + (block * HEADS + head) * HEAD_DIM * STATE + dim[:, None] * STATE + key[None, :]
    tl.store(place, state.to(states.dtype.element_ty))


@triton.jit
def carry_states(
    states: Any,
    falls: Any,
    pool: Any,
    slots: Any,
    starts: Any,
    row_blocks: Any,
    HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    """Put into each block's place the state before it, and into the slot that after the last.

    SIZE is HEAD_DIM * STATE. Grid (rows, HEADS, SIZE / TILE).
    """
    row, head = tl.program_id(0), tl.program_id(1)
    item = tl.program_id(2) * TILE + tl.arange(0, TILE)
    home = pool + (tl.load(slots + row) * HEADS + head) * SIZE + item
    goes_on = tl.load(starts + row) > 0
    state = tl.load(home, mask=(item >= 0) & goes_on, other=0.0).to(tl.float32)
    for block in range(tl.load(row_blocks + row), tl.load(row_blocks + row + 1)):
        place = states + (block * HEADS + head) * SIZE + item
        gained = tl.load(place).to(tl.float32)
        tl.store(place, state.to(states.dtype.element_ty))
        left = tl.exp(tl.load(falls + (block * HEADS + head) * BLOCK + BLOCK - 1))
        # Rounded at every edge, so that it does not matter which edge ended a chunk.
        state = (state * left + gained).to(pool.dtype.element_ty).to(tl.float32)
    tl.store(home, state.to(pool.dtype.element_ty))


@triton.jit
def _attend(
    values: Any,
    c: Any,
    fall: Any,
    falls: Any,
    dts: Any,
    edge: Any,
    INNER: tl.constexpr,
    CHANNELS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    TILE: tl.constexpr,
    key_at: Any,
    x_at: Any,
) -> Any:
    """What the tokens of a block up to tile `edge` add to the outputs of that tile: (TILE, HEAD_DIM)."""
    dim, key = tl.arange(0, HEAD_DIM), tl.arange(0, STATE)
    total = tl.zeros((TILE, HEAD_DIM), tl.float32)
    for tile in range(0, edge + 1):
        past = tile * TILE + tl.arange(0, TILE)
        b = tl.load(values + past[:, None] * CHANNELS + INNER + key_at + key[None, :])
        x = tl.load(values + past[:, None] * CHANNELS + x_at + dim[None, :])
        is_past = past[None, :] <= (edge * TILE + tl.arange(0, TILE))[:, None]
        between = tl.where(is_past, fall[:, None] - tl.load(falls + past)[None, :], float("-inf"))
        weight = tl.exp(between) * tl.load(dts + past)[None, :]
        score = tl.dot(c, tl.trans(b), input_precision="ieee") * weight
        total = tl.dot(score.to(x.dtype), x, total, input_precision="ieee")
    return total


@triton.jit
def scan_blocks(
    projected: Any,
    convolved: Any,
    falls: Any,
    dts: Any,
    states: Any,
    d: Any,
    block_firsts: Any,
    block_counts: Any,
    out: Any,
    INNER: tl.constexpr,
    CHANNELS: tl.constexpr,
    KEYED: tl.constexpr,
    HEADS: tl.constexpr,
    HEADS_PER_GROUP: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    """Gated outputs (tokens, INNER) from the states before the blocks. Grid (blocks, HEADS, BLOCK / TILE)."""
    block, head, edge = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    inside, dim, key = edge * TILE + tl.arange(0, TILE), tl.arange(0, HEAD_DIM), tl.arange(0, STATE)
    values, place = convolved + block * BLOCK * CHANNELS, block * HEADS + head
    key_at = head // HEADS_PER_GROUP * STATE
    c = tl.load(values + inside[:, None] * CHANNELS + INNER + KEYED + key_at + key[None, :])
    state = tl.load(states + place * HEAD_DIM * STATE + dim[None, :] * STATE + key[:, None])
    falls, dts = falls + place * BLOCK, dts + place * BLOCK
    fall = tl.load(falls + inside)
    y = tl.dot(c, state.to(c.dtype), input_precision="ieee") * tl.exp(fall)[:, None]
    y += _attend(
        values, c, fall, falls, dts, edge, INNER, CHANNELS, HEAD_DIM, STATE, TILE, key_at, head * HEAD_DIM
    )
    x = tl.load(values + inside[:, None] * CHANNELS + head * HEAD_DIM + dim[None, :])
    y += tl.load(d + head) * x.to(tl.float32)
    token = (tl.load(block_firsts + block) + inside)[:, None].to(tl.int64)
    real = (inside < tl.load(block_counts + block))[:, None] & (dim[None, :] >= 0)
    gate = projected + token * (INNER + CHANNELS + HEADS) + head * HEAD_DIM + dim[None, :]
    z = tl.load(gate, mask=real, other=0.0).to(tl.float32)
    place = out + token * INNER + head * HEAD_DIM + dim[None, :]
    tl.store(place, (y * z * tl.sigmoid(z)).to(out.dtype.element_ty), mask=real)
