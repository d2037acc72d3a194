# ruff: noqa: N803, N806, PLR0913, PLR0917 -- Triton's constants are written like this, and it takes no keywords only
"""Triton kernels over paged keys and values; a row whose slot is negative is dead and left alone.

Shapes: qkv (n, heads + 2 * KV_HEADS, 2 * HALF) flattened, pools (pages, KV_HEADS, PAGE, 2 * HALF), cos and sin
(context, HALF); heads = KV_HEADS * GROUP. Import this module on CUDA only.
"""

from __future__ import annotations

import triton
import triton.language as tl

TILE = tl.constexpr(16)  # fewest rows that tensor cores multiply


@triton.jit
def _turn(at: tl.tensor, real: tl.tensor, angle: tl.tuple, HALF: tl.constexpr) -> tl.tensor:
    """Load heads at pointers `at` to their first halves, and turn them; the two halves."""
    cos, sin = angle
    first = tl.load(at, mask=real, other=0.0).to(tl.float32)
    second = tl.load(at + HALF, mask=real, other=0.0).to(tl.float32)
    kind = at.dtype.element_ty
    return (first * cos - second * sin).to(kind), (second * cos + first * sin).to(kind)


@triton.jit
def _angle(angles: tl.tuple, position: tl.tensor, HALF: tl.constexpr) -> tl.tensor:
    cos, sin = angles
    at = position * HALF + tl.arange(0, HALF)
    return tl.load(cos + at), tl.load(sin + at)


@triton.jit
def _place(
    pages: tl.tensor, position: tl.tensor, head: tl.tensor, KV_HEADS: tl.constexpr, PAGE: tl.constexpr
) -> tl.tensor:
    """Which row of a pool, seen as (pages * KV_HEADS * PAGE, head dim), belongs to a token; 64 bits."""
    page = tl.load(pages + position // PAGE).to(tl.int64)
    return (page * KV_HEADS + head) * PAGE + position % PAGE


@triton.jit
def _store(pools: tl.tuple, at: tl.tensor, key: tl.tuple, value: tl.tensor, real: tl.tensor) -> None:
    """Store heads whose rows in the pools are `at`; `key` is two halves."""
    keys, values = pools
    HALF: tl.constexpr = key[0].shape[-1]
    half, whole = tl.arange(0, HALF), tl.arange(0, 2 * HALF)
    tl.store(keys + at * 2 * HALF + half, key[0], mask=real)
    tl.store(keys + at * 2 * HALF + HALF + half, key[1], mask=real)
    tl.store(values + at * 2 * HALF + whole, value, mask=real)


@triton.jit
def _begin(query: tl.tuple, key: tl.tuple, value: tl.tensor, mine: tl.tensor, scale: tl.tensor) -> tl.tensor:
    """A softmax that has seen the new token alone, or nothing unless it is `mine`."""
    score = tl.sum(query[0].to(tl.float32) * key[0].to(tl.float32)[None, :], 1)
    score += tl.sum(query[1].to(tl.float32) * key[1].to(tl.float32)[None, :], 1)
    top = tl.where(mine, score * scale, float("-inf"))
    total = tl.where(mine, tl.full((TILE,), 1.0, tl.float32), 0.0)
    nothing = tl.zeros((TILE, value.shape[0]), tl.float32)
    return top, total, tl.where(mine, value.to(tl.float32)[None, :], nothing)


@triton.jit
def _read(
    state: tl.tuple,
    query: tl.tuple,
    pools: tl.tuple,
    pages: tl.tensor,
    head: tl.tensor,
    begin: tl.tensor,
    end: tl.tensor,
    scale: tl.tensor,
    KV_HEADS: tl.constexpr,
    PAGE: tl.constexpr,
) -> tl.tensor:
    """Softmax as it goes over tokens begin..end of a sequence; `state` is (maximum, sum, weighted values)."""
    keys, values = pools
    top, total, mixed = state
    HALF: tl.constexpr = query[0].shape[1]
    tokens, half, whole = tl.arange(0, PAGE), tl.arange(0, HALF), tl.arange(0, 2 * HALF)
    for start in range(begin, end, PAGE):
        at = (_place(pages, start, head, KV_HEADS, PAGE) + tokens[:, None]) * 2 * HALF
        live = start + tokens < end
        k1 = tl.load(keys + at + half[None, :])
        k2 = tl.load(keys + at + HALF + half[None, :])
        v = tl.load(values + at + whole[None, :], mask=live[:, None], other=0.0)  # beyond `end` may be NaN
        scores = tl.dot(query[1], k2.T, tl.dot(query[0], k1.T)) * scale
        scores = tl.where(live[None, :], scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        weights, shrink = tl.exp2(scores - higher[:, None]), tl.exp2(top - higher)
        total = total * shrink + tl.sum(weights, 1)
        mixed = tl.dot(weights.to(v.dtype), v, mixed * shrink[:, None])
        top = higher
    return top, total, mixed


@triton.jit
def _span(position: tl.tensor, SPLITS: tl.constexpr, PAGE: tl.constexpr) -> tl.tensor:
    """How many tokens of history each piece reads: whole pages, at least one."""
    return tl.maximum(tl.cdiv(tl.cdiv(position, SPLITS), PAGE), 1) * PAGE


@triton.jit
def attend_next(
    qkv: tl.tensor,
    out: tl.tensor,
    sums: tl.tensor,
    pools: tl.tuple,
    table: tl.tensor,
    width: tl.tensor,
    slots: tl.tensor,
    positions: tl.tensor,
    angles: tl.tuple,
    scale: tl.tensor,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    HALF: tl.constexpr,
    PAGE: tl.constexpr,
    SPLITS: tl.constexpr,
) -> None:
    """One sequence, one key head with its GROUP query heads, one of SPLITS pieces of the history.

    Piece 0 also stores the new token and attends to it from registers. With one piece `out` is the result, else it
    is every piece's own weighted mean, and `sums` the logarithm (base 2) of the weight that it stands for.
    """
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    slot, position = tl.load(slots + row), tl.load(positions + row)
    begin = split * _span(position, SPLITS, PAGE)
    if slot < 0 or (begin >= position and split > 0):
        return
    HEADS: tl.constexpr = KV_HEADS * GROUP
    member, half, whole = tl.arange(0, TILE), tl.arange(0, HALF), tl.arange(0, 2 * HALF)
    real = member[:, None] < GROUP
    source = qkv + row * (HEADS + 2 * KV_HEADS) * 2 * HALF
    angle = _angle(angles, position, HALF)
    query = _turn(source + (head * GROUP + member[:, None]) * 2 * HALF + half[None, :], real, angle, HALF)
    key = _turn(source + (HEADS + head) * 2 * HALF + half, half >= 0, angle, HALF)
    value = tl.load(source + (HEADS + KV_HEADS + head) * 2 * HALF + whole)
    pages = table + slot * width
    _store(pools, _place(pages, position, head, KV_HEADS, PAGE), key, value, split == 0)
    state = _begin(query, key, value, split == 0, scale)
    end = tl.minimum(begin + _span(position, SPLITS, PAGE), position)
    top, total, mixed = _read(state, query, pools, pages, head, begin, end, scale, KV_HEADS, PAGE)
    at = (row * HEADS + head * GROUP + member) * SPLITS + split
    mixed = (mixed / total[:, None]).to(out.dtype.element_ty)
    tl.store(out + at[:, None] * 2 * HALF + whole[None, :], mixed, mask=real)
    if SPLITS > 1:
        tl.store(sums + at, top + tl.log2(total), mask=member < GROUP)


@triton.jit
def combine(
    out: tl.tensor,
    parts: tl.tensor,
    sums: tl.tensor,
    slots: tl.tensor,
    positions: tl.tensor,
    DIM: tl.constexpr,
    PAGE: tl.constexpr,
    SPLITS: tl.constexpr,
) -> None:
    """The weighted mean of the pieces of one query head."""
    row, query = tl.program_id(0), tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
    slot, position = tl.load(slots + row), tl.load(positions + row)
    if slot < 0:
        return
    pieces, whole = tl.arange(0, SPLITS), tl.arange(0, DIM)
    live = (pieces == 0) | (pieces * _span(position, SPLITS, PAGE) < position)
    at = query * SPLITS + pieces
    weights = tl.load(sums + at, mask=live, other=float("-inf"))
    weights = tl.exp2(weights - tl.max(weights, 0))
    values = tl.load(parts + at[:, None] * DIM + whole[None, :], mask=live[:, None], other=0.0)
    mean = tl.sum(values * weights[:, None], 0) / tl.sum(weights, 0)
    tl.store(out + query * DIM + whole, mean.to(out.dtype.element_ty))


@triton.jit
def rotate_and_store(
    qkv: tl.tensor,
    pools: tl.tuple,
    table: tl.tensor,
    width: tl.tensor,
    slots: tl.tensor,
    positions: tl.tensor,
    angles: tl.tuple,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    HALF: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Turn the queries of one token in place, and store its turned keys and its values, also in `qkv`."""
    row = tl.program_id(0)
    slot, position = tl.load(slots + row), tl.load(positions + row)
    HEADS: tl.constexpr = KV_HEADS * GROUP
    head, half, whole = tl.arange(0, BLOCK)[:, None], tl.arange(0, HALF)[None, :], tl.arange(0, 2 * HALF)[None, :]
    source = qkv + row.to(tl.int64) * (HEADS + 2 * KV_HEADS) * 2 * HALF
    angle = _angle(angles, position, HALF)
    for first in tl.static_range(0, HEADS, BLOCK):
        at = source + (first + head) * 2 * HALF + half
        query = _turn(at, first + head < HEADS, angle, HALF)
        tl.store(at, query[0], mask=first + head < HEADS)
        tl.store(at + HALF, query[1], mask=first + head < HEADS)
    real = head < KV_HEADS
    at = source + (HEADS + head) * 2 * HALF
    key = _turn(at + half, real, angle, HALF)
    value = tl.load(at + KV_HEADS * 2 * HALF + whole, mask=real)
    tl.store(at + half, key[0], mask=real)
    tl.store(at + HALF + half, key[1], mask=real)
    _store(pools, _place(table + slot * width, position, head, KV_HEADS, PAGE), key, value, real)
