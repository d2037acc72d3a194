"""The Triton kernel of one Mamba2 decoding step: convolution, recurrence and gate, in the slots' own memory.

A program takes PER heads of one row, each head's whole state in registers. It reads the state once and replays the
window over it (see `mamba2_memory`); it writes the state only when the window is full. Import on CUDA only.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit
def softplus(value: Any) -> Any:
    """log(1 + exp(value)), exact for very negative values too."""
    small = tl.exp(-tl.abs(value))
    whole = 1.0 + small
    grown = tl.where(whole == 1.0, small, small * tl.log(whole) / tl.where(whole == 1.0, 1.0, whole - 1.0))
    return tl.maximum(value, 0.0) + grown


@triton.jit
def _convolve(
    taps: Any,
    fresh: Any,
    weight: Any,
    bias: Any,
    channel: Any,
    position: Any,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> Any:
    """The convolution at `position`, rounded as it is kept; its input takes the place of the oldest, unread, tap."""
    new = tl.load(fresh + channel)
    sums = tl.load(bias + channel).to(tl.float32)
    sums += new.to(tl.float32) * tl.load(weight + (WIDTH - 1) * CHANNELS + channel).to(tl.float32)
    for back in tl.static_range(1, WIDTH):
        place = (position + WIDTH - back) % WIDTH
        old = tl.load(taps + place * CHANNELS + channel, mask=(channel >= 0) & (position >= back), other=0.0)
        sums += old.to(tl.float32) * tl.load(weight + (WIDTH - 1 - back) * CHANNELS + channel).to(tl.float32)
    tl.store(taps + (position % WIDTH) * CHANNELS + channel, new)
    return (sums * tl.sigmoid(sums)).to(new.dtype)


@triton.jit
def _window(values: Any, new: Any, column: Any, at: Any, since: Any, STRIDE: tl.constexpr, WINDOW: tl.constexpr) -> Any:
    """Keep `new` in the window at `at`; the whole window (WINDOW, columns) in fp32, zero where nothing is pending."""
    step = tl.arange(0, WINDOW)[:, None]
    pending = (step >= since) & (step < at) & (column[None, :] >= 0)
    old = tl.load(values + step * STRIDE + column[None, :], mask=pending, other=0.0)
    tl.store(values + at * STRIDE + column, new)
    return tl.where(step == at, new[None, :].to(tl.float32), old.to(tl.float32))


@triton.jit
def _decays(dts: Any, dt: Any, a: Any, at: Any, since: Any, HEADS: tl.constexpr, WINDOW: tl.constexpr) -> Any:
    """What is left of the state, and what each token of the window adds to it (WINDOW,); keeps `dt`."""
    step = tl.arange(0, WINDOW)
    old = tl.load(dts + step * HEADS, mask=(step >= since) & (step < at), other=0.0)
    tl.store(dts + at * HEADS, dt)
    all_dt = tl.where(step == at, dt, old)
    fall = a * all_dt
    total = tl.sum(fall, 0)
    return tl.exp(total), tl.exp(total - tl.cumsum(fall, 0)) * all_dt


@triton.jit
def _absorb(held: Any, gain: Any, x: Any, b: Any, WINDOW: tl.constexpr) -> Any:
    """The state with the whole window added."""
    step = tl.arange(0, WINDOW)
    for index in tl.static_range(WINDOW):
        at_index = tl.where(step == index, 1.0, 0.0)
        one_x = tl.sum(x * (gain * at_index)[:, None], 0)
        one_b = tl.sum(b * at_index[:, None], 0)
        held += one_x[:, None] * one_b[None, :]
    return held


@triton.jit
def mix_next(
    slots: Any,
    positions: Any,
    absorbed: Any,
    projected: Any,
    conv_weight: Any,
    conv_bias: Any,
    dt_bias: Any,
    a: Any,
    d: Any,
    state: Any,
    taps: Any,
    xs: Any,
    bs: Any,
    dts: Any,
    out: Any,
    HEADS: tl.constexpr,
    PER: tl.constexpr,
    GROUPS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    STATE: tl.constexpr,
    WIDTH: tl.constexpr,
    WINDOW: tl.constexpr,
) -> None:
    """One token further in each row's slot; out (n, HEADS * HEAD_DIM), gated. Grid (n, HEADS / PER)."""
    INNER: tl.constexpr = HEADS * HEAD_DIM
    KEYED: tl.constexpr = GROUPS * STATE
    CHANNELS: tl.constexpr = INNER + 2 * KEYED
    row, slot = tl.program_id(0).to(tl.int64), tl.load(slots + tl.program_id(0))
    if slot < 0:
        return
    position = tl.load(positions + row).to(tl.int32)
    at = position % WINDOW
    since = (tl.load(absorbed + slot) - position + at).to(tl.int32)
    gate = projected + row * (INNER + CHANNELS + HEADS)
    fresh = gate + INNER
    taps += slot * WIDTH * CHANNELS
    key = (tl.program_id(1) * PER // (HEADS // GROUPS)) * STATE + tl.arange(0, STATE)
    b = _convolve(taps, fresh, conv_weight, conv_bias, INNER + key, position, CHANNELS, WIDTH)
    c = _convolve(taps, fresh, conv_weight, conv_bias, INNER + KEYED + key, position, CHANNELS, WIDTH).to(tl.float32)
    keys = _window(bs + slot * WINDOW * KEYED, b, key, at, since, KEYED, WINDOW)
    score = tl.sum(keys * c[None, :], 1)  # (WINDOW,)
    for head in range(tl.program_id(1) * PER, tl.program_id(1) * PER + PER):
        place = state + (slot * HEADS + head) * HEAD_DIM * STATE
        place += tl.arange(0, HEAD_DIM)[:, None] * STATE + tl.arange(0, STATE)[None, :]
        held = tl.load(place).to(tl.float32)
        channel = head * HEAD_DIM + tl.arange(0, HEAD_DIM)
        x = _convolve(taps, fresh, conv_weight, conv_bias, channel, position, CHANNELS, WIDTH)
        dt = softplus(tl.load(fresh + CHANNELS + head).to(tl.float32) + tl.load(dt_bias + head))
        left, gain = _decays(dts + slot * WINDOW * HEADS + head, dt, tl.load(a + head), at, since, HEADS, WINDOW)
        inputs = _window(xs + slot * WINDOW * INNER, x, channel, at, since, INNER, WINDOW)
        y = left * tl.sum(held * c[None, :], 1) + tl.sum(inputs * (gain * score)[:, None], 0)
        y += tl.load(d + head) * x.to(tl.float32)
        z = tl.load(gate + channel).to(tl.float32)
        tl.store(out + row * INNER + channel, (y * z * tl.sigmoid(z)).to(out.dtype.element_ty))
        if at == WINDOW - 1:
            tl.store(place, _absorb(held * left, gain, inputs, keys, WINDOW).to(state.dtype.element_ty))
