# ruff: noqa: N803, N806, PLR0913, PLR0917 -- Triton's constants are written like this, and it takes no keywords only
"""The two Triton kernels of one Mamba2 decoding step, in the slots' own memory (see `mamba2_memory`).

`prepare` does what is small: convolution, time steps, and all that the window's tokens add to the outputs.
`read_states` does what is large: it reads each state once, and writes it only where the window is full. Apart, the
second keeps enough loads in flight to run at the speed of memory. Import on CUDA only.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def softplus(value: tl.tensor) -> tl.tensor:
    """log(1 + exp(value)), exact for very negative values too."""
    small = tl.exp(-tl.abs(value))
    whole = 1.0 + small
    grown = tl.where(whole == 1.0, small, small * tl.log(whole) / tl.where(whole == 1.0, 1.0, whole - 1.0))
    return tl.maximum(value, 0.0) + grown


@triton.jit
def _convolve(
    taps: tl.tensor,
    new: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    channel: tl.tensor,
    position: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The convolution at `position`, where the input is `new`, rounded as it is kept."""
    sums = tl.load(bias + channel).to(tl.float32)
    sums += new.to(tl.float32) * tl.load(weight + (WIDTH - 1) * CHANNELS + channel).to(tl.float32)
    for back in tl.static_range(1, WIDTH):
        place = (position + WIDTH - back) % WIDTH
        old = tl.load(taps + place * CHANNELS + channel, mask=(channel >= 0) & (position >= back), other=0.0)
        sums += old.to(tl.float32) * tl.load(weight + (WIDTH - 1 - back) * CHANNELS + channel).to(tl.float32)
    return (sums * tl.sigmoid(sums)).to(new.dtype)


@triton.jit
def _weigh(
    old_dt: tl.tensor,
    old_b: tl.tensor,
    dt: tl.tensor,
    b: tl.tensor,
    c: tl.tensor,
    is_new: tl.tensor,
    a: tl.tensor,
    d: tl.tensor,
) -> tl.tensor:
    """How much of each token of the window the state takes in and the output shows, and what is left of the state.

    old_dt (WINDOW, heads) and old_b (WINDOW, STATE) are zero where no token is pending.
    """
    all_dt = tl.where(is_new, dt[None, :], old_dt)
    fall = all_dt * a[None, :]
    total = tl.sum(fall, 0)
    gain = tl.exp(total[None, :] - tl.cumsum(fall, 0)) * all_dt
    keys = tl.where(is_new, b[None, :].to(tl.float32), old_b.to(tl.float32))
    share = gain * tl.sum(keys * c.to(tl.float32)[None, :], 1)[:, None]
    return gain, share + tl.where(is_new, d[None, :], 0.0), tl.exp(total)


@triton.jit
def prepare(
    slots: tl.tensor,
    positions: tl.tensor,
    absorbed: tl.tensor,
    projected: tl.tensor,
    conv_weight: tl.tensor,
    conv_bias: tl.tensor,
    dt_bias: tl.tensor,
    a: tl.tensor,
    d: tl.tensor,
    taps: tl.tensor,
    xs: tl.tensor,
    bs: tl.tensor,
    dts: tl.tensor,
    queries: tl.tensor,
    gains: tl.tensor,
    shares: tl.tensor,
    lefts: tl.tensor,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    WIDTH: tl.constexpr,
    WINDOW: tl.constexpr,
) -> None:
    """All of a step that is smaller than its states, for one group of heads. Grid (n, GROUPS).

    queries (n, GROUPS * STATE): C; gains (n, WINDOW, HEADS): how much of each token's x and B the state takes in;
    shares, likewise: how much of its x is in the output now; lefts (n, HEADS): what is left of the state before.
    """
    INNER: tl.constexpr = HEADS * HEAD_DIM
    KEYED: tl.constexpr = GROUPS * STATE
    CHANNELS: tl.constexpr = INNER + 2 * KEYED
    PER: tl.constexpr = HEADS // GROUPS
    row, slot = tl.program_id(0).to(tl.int64), tl.load(slots + tl.program_id(0))
    if slot < 0:
        return
    position = tl.load(positions + row).to(tl.int32)
    at = position % WINDOW
    since = (tl.load(absorbed + slot) - position + at).to(tl.int32)
    fresh = projected + row * (INNER + CHANNELS + HEADS) + INNER
    taps, xs, bs = taps + slot * WIDTH * CHANNELS, xs + slot * WINDOW * INNER, bs + slot * WINDOW * KEYED
    dts += slot * WINDOW * HEADS
    step = tl.arange(0, WINDOW)[:, None]
    pending, is_new = (step >= since) & (step < at), step == at
    head, key = tl.program_id(1) * PER + tl.arange(0, PER), tl.program_id(1) * STATE + tl.arange(0, STATE)
    channel = tl.program_id(1) * PER * HEAD_DIM + tl.arange(0, PER * HEAD_DIM)
    # Loads first and stores last: a store between them would make later loads wait for it.
    new_b, new_c = tl.load(fresh + INNER + key), tl.load(fresh + INNER + KEYED + key)
    new_x = tl.load(fresh + channel)
    old_b = tl.load(bs + step * KEYED + key[None, :], mask=pending & (key[None, :] >= 0), other=0.0)
    old_dt = tl.load(dts + step * HEADS + head[None, :], mask=pending & (head[None, :] >= 0), other=0.0)
    dt = softplus(tl.load(fresh + CHANNELS + head).to(tl.float32) + tl.load(dt_bias + head))
    b = _convolve(taps, new_b, conv_weight, conv_bias, INNER + key, position, CHANNELS, WIDTH)
    c = _convolve(taps, new_c, conv_weight, conv_bias, INNER + KEYED + key, position, CHANNELS, WIDTH)
    x = _convolve(taps, new_x, conv_weight, conv_bias, channel, position, CHANNELS, WIDTH)
    gain, share, left = _weigh(old_dt, old_b, dt, b, c, is_new, tl.load(a + head), tl.load(d + head))
    scratch = (row * WINDOW + step) * HEADS + head[None, :]
    tl.store(gains + scratch, gain)
    tl.store(shares + scratch, share)
    tl.store(lefts + row * HEADS + head, left)
    tl.store(queries + row * KEYED + key, c)
    tl.store(xs + at * INNER + channel, x)
    tl.store(bs + at * KEYED + key, b)
    tl.store(dts + at * HEADS + head, dt)
    # The new inputs take the place of the oldest taps, which nobody reads at this position.
    taps += (position % WIDTH) * CHANNELS
    tl.store(taps + channel, new_x)
    tl.store(taps + INNER + key, new_b)
    tl.store(taps + INNER + KEYED + key, new_c)


@triton.jit
def _absorb(
    state: tl.tensor,
    left: tl.tensor,
    gains: tl.tensor,
    xs: tl.tensor,
    bs: tl.tensor,
    HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    KEYED: tl.constexpr,
    STATE: tl.constexpr,
    WINDOW: tl.constexpr,
    PART: tl.constexpr,
) -> None:
    """Write one head's state with the window added; in parts, or it would take every step's registers."""
    key = tl.arange(0, STATE)
    for first in range(0, HEAD_DIM, PART):
        dim = first + tl.arange(0, PART)
        place = state + dim[:, None] * STATE + key[None, :]
        held = tl.load(place).to(tl.float32) * left
        for step in range(WINDOW):
            gain = tl.load(gains + step * HEADS)
            x = tl.load(xs + step * HEADS * HEAD_DIM + dim, mask=dim * 0.0 + gain > 0.0, other=0.0).to(tl.float32)
            b = tl.load(bs + step * KEYED + key, mask=key * 0.0 + gain > 0.0, other=0.0).to(tl.float32)
            held += (x * gain)[:, None] * b[None, :]
        tl.store(place, held.to(state.dtype.element_ty))


@triton.jit
def read_states(
    slots: tl.tensor,
    positions: tl.tensor,
    projected: tl.tensor,
    queries: tl.tensor,
    gains: tl.tensor,
    shares: tl.tensor,
    lefts: tl.tensor,
    state: tl.tensor,
    xs: tl.tensor,
    bs: tl.tensor,
    out: tl.tensor,
    STRIDE: tl.constexpr,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    WINDOW: tl.constexpr,
) -> None:
    """Gated outputs (n, HEADS * HEAD_DIM), one head each; STRIDE is that of projected. Grid (n, HEADS)."""
    INNER: tl.constexpr = HEADS * HEAD_DIM
    KEYED: tl.constexpr = GROUPS * STATE
    row, head, slot = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.load(slots + tl.program_id(0))
    if slot < 0:
        return
    dim, key = tl.arange(0, HEAD_DIM), tl.arange(0, STATE)
    state += (slot * HEADS + head) * HEAD_DIM * STATE
    held = tl.load(state + dim[:, None] * STATE + key[None, :])
    group, channel, step = head // (HEADS // GROUPS) * STATE, head * HEAD_DIM + dim, tl.arange(0, WINDOW)
    share = tl.load(shares + (row * WINDOW + step) * HEADS + head)
    xs, bs = xs + slot * WINDOW * INNER + head * HEAD_DIM, bs + slot * WINDOW * KEYED + group
    pending = (share[:, None] != 0.0) & (dim[None, :] >= 0)
    x = tl.load(xs + step[:, None] * INNER + dim[None, :], mask=pending, other=0.0).to(tl.float32)
    c = tl.load(queries + row * KEYED + group + key).to(tl.float32)
    z, left = tl.load(projected + row * STRIDE + channel).to(tl.float32), tl.load(lefts + row * HEADS + head)
    y = tl.sum(x * share[:, None], 0) + left * tl.sum(held.to(tl.float32) * c[None, :], 1)
    tl.store(out + row * INNER + channel, (y * z * tl.sigmoid(z)).to(out.dtype.element_ty))
    if tl.load(positions + row) % WINDOW == WINDOW - 1:
        PART: tl.constexpr = 16 if HEAD_DIM % 16 == 0 else HEAD_DIM
        gains += row * WINDOW * HEADS + head
        _absorb(state, left, gains, xs, bs, HEADS, HEAD_DIM, KEYED, STATE, WINDOW, PART)
