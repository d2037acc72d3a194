# ruff: noqa: N803, N806, PLR0913, PLR0917 -- Triton's constants are written like this, and it takes no keywords only
"""The Triton kernels of Mamba2 over packed prompts (see `packing`). Import on CUDA only.

Shapes: projected (tokens, INNER + CHANNELS + HEADS), convolved (tokens, CHANNELS).
"""

from __future__ import annotations

import triton
import triton.language as tl

from ensemble.engine.mamba2_step_kernels import softplus

# Where the parts of a packing lie differs from one to the next; no kernel shall be compiled again for that.
_UNALIGNED = ["slots", "starts", "firsts", "rows"]


@triton.jit(do_not_specialize=["count"], do_not_specialize_on_alignment=_UNALIGNED)
def convolve(
    projected: tl.tensor,
    taps: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    convolved: tl.tensor,
    slots: tl.tensor,
    starts: tl.tensor,
    firsts: tl.tensor,
    rows: tl.tensor,
    count: tl.tensor,
    INNER: tl.constexpr,
    CHANNELS: tl.constexpr,
    STRIDE: tl.constexpr,
    WIDTH: tl.constexpr,
    TOKENS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """The convolution of `count` tokens, from the slots' taps on. Grid (count / TOKENS, CHANNELS / COLUMNS)."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    row = tl.load(rows + token, mask=token < count, other=0)
    offset, real = (token - tl.load(firsts + row))[:, None], (token < count)[:, None] & (channel < CHANNELS)
    source = projected + token.to(tl.int64)[:, None] * STRIDE + INNER + channel
    sums = tl.zeros((TOKENS, COLUMNS), tl.float32)
    sums += tl.load(bias + channel, mask=channel < CHANNELS, other=0.0).to(tl.float32)
    for back in tl.static_range(0, WIDTH):
        scale = tl.load(weight + (WIDTH - 1 - back) * CHANNELS + channel, mask=channel < CHANNELS, other=0.0)
        near = tl.load(source - back * STRIDE, mask=real & (offset >= back), other=0.0)
        sums += near.to(tl.float32) * scale.to(tl.float32)
    if tl.min(offset) < WIDTH - 1:  # some tokens begin a row
        position = (tl.load(starts + row)[:, None] + offset).to(tl.int32)
        tap = taps + tl.load(slots + row)[:, None] * WIDTH * CHANNELS + channel
        for back in tl.static_range(1, WIDTH):
            scale = tl.load(weight + (WIDTH - 1 - back) * CHANNELS + channel, mask=channel < CHANNELS, other=0.0)
            is_far, place = real & (offset < back) & (position >= back), (position + WIDTH - back) % WIDTH
            far = tl.load(tap + place * CHANNELS, mask=is_far, other=0.0)
            sums += far.to(tl.float32) * scale.to(tl.float32)
    value = (sums * tl.sigmoid(sums)).to(convolved.dtype.element_ty)
    tl.store(convolved + token.to(tl.int64)[:, None] * CHANNELS + channel, value, mask=real)


@triton.jit
def _read_block(
    projected: tl.tensor,
    convolved: tl.tensor,
    real: tl.tensor,
    head: tl.tensor,
    INNER: tl.constexpr,
    KEYED: tl.constexpr,
    HEADS: tl.constexpr,
    HEADS_PER_GROUP: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """x (tokens, HEAD_DIM), B and C (tokens, STATE), raw time steps (tokens,); zero where nothing is real."""
    CHANNELS: tl.constexpr = INNER + 2 * KEYED
    key = head // HEADS_PER_GROUP * STATE + tl.arange(0, STATE)[None, :]
    inside = tl.arange(0, BLOCK)
    line = inside[:, None] * CHANNELS
    x_at = head * HEAD_DIM + tl.arange(0, HEAD_DIM)[None, :]
    x = tl.load(convolved + line + x_at, mask=real[:, None] & (x_at >= 0), other=0.0)
    b = tl.load(convolved + line + INNER + key, mask=real[:, None] & (key >= 0), other=0.0)
    c = tl.load(convolved + line + INNER + KEYED + key, mask=real[:, None] & (key >= 0), other=0.0)
    dt_at = inside * (INNER + CHANNELS + HEADS) + INNER + CHANNELS + head
    return x, b, c, tl.load(projected + dt_at, mask=real, other=0.0).to(tl.float32)


@triton.jit
def _scan_block(
    x: tl.tensor, b: tl.tensor, c: tl.tensor, dt: tl.tensor, a: tl.tensor, state: tl.tensor, BLOCK: tl.constexpr
) -> tl.tensor:
    """Outputs (tokens, HEAD_DIM) and the state (STATE, HEAD_DIM) after one block, from that before it."""
    inside = tl.arange(0, BLOCK)
    fall = tl.cumsum(dt * a, 0)
    total = tl.sum(dt * a, 0)
    between = tl.where(inside[None, :] <= inside[:, None], fall[:, None] - fall[None, :], float("-inf"))
    score = tl.dot(c, tl.trans(b), input_precision="ieee") * (tl.exp(between) * dt[None, :])
    y = tl.dot(c, state.to(c.dtype), input_precision="ieee") * tl.exp(fall)[:, None]
    y = tl.dot(score.to(x.dtype), x, y, input_precision="ieee")
    gained = x.to(tl.float32) * (tl.exp(total - fall) * dt)[:, None]
    state = tl.dot(tl.trans(b), gained.to(x.dtype), state * tl.exp(total), input_precision="ieee")
    return y, state


@triton.jit
def _store_gated(y: tl.tensor, gate: tl.tensor, target: tl.tensor, real: tl.tensor) -> None:
    z = tl.load(gate, mask=real, other=0.0).to(tl.float32)
    tl.store(target, (y * z * tl.sigmoid(z)).to(target.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize_on_alignment=_UNALIGNED[:3])
def scan_rows(
    projected: tl.tensor,
    convolved: tl.tensor,
    pool: tl.tensor,
    dt_bias: tl.tensor,
    a: tl.tensor,
    d: tl.tensor,
    slots: tl.tensor,
    starts: tl.tensor,
    firsts: tl.tensor,
    out: tl.tensor,
    INNER: tl.constexpr,
    KEYED: tl.constexpr,
    HEADS: tl.constexpr,
    HEADS_PER_GROUP: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Gated outputs (tokens, INNER), and the slots' states after each row's last token. Grid (rows, HEADS)."""
    row, head = tl.program_id(0), tl.program_id(1)
    dim, key = tl.arange(0, HEAD_DIM)[None, :], tl.arange(0, STATE)[:, None]
    home = pool + (tl.load(slots + row) * HEADS + head) * HEAD_DIM * STATE + dim * STATE + key
    start, end = tl.load(firsts + row), tl.load(firsts + row + 1)
    if start == end:
        return
    goes_on = tl.load(starts + row) > 0
    state = tl.load(home, mask=goes_on & (key >= 0), other=0.0).to(tl.float32)
    bias, rate, skip = tl.load(dt_bias + head), tl.load(a + head), tl.load(d + head)
    inside = tl.arange(0, BLOCK)
    for first in range(start, end, BLOCK):
        real, source = first + inside < end, projected + first * (2 * (INNER + KEYED) + HEADS)
        source_convolved = convolved + first * (INNER + 2 * KEYED)
        x, b, c, raw_dt = _read_block(
            source, source_convolved, real, head, INNER, KEYED, HEADS, HEADS_PER_GROUP, HEAD_DIM, STATE, BLOCK
        )
        # A place without a token leaves the state as it is.
        dt = tl.where(real, softplus(raw_dt + bias), 0.0)
        y, state = _scan_block(x, b, c, dt, rate, state, BLOCK)
        # Rounded at every edge, so that it does not matter which edge ended a chunk.
        state = state.to(pool.dtype.element_ty).to(tl.float32)
        y += skip * x.to(tl.float32)
        gate = source + inside[:, None] * (2 * (INNER + KEYED) + HEADS) + head * HEAD_DIM + dim
        target = out + first * INNER + inside[:, None] * INNER + head * HEAD_DIM + dim
        _store_gated(y, gate, target, real[:, None] & (dim >= 0))
    tl.store(home, state.to(pool.dtype.element_ty))
