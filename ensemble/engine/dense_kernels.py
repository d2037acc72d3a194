# ruff: noqa: N803, PLR0913, PLR0917 -- Triton's constants are written like this, and it takes no keywords only
"""Triton kernels of the layers around attention. Import this module on CUDA only."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def normalise(
    x: tl.tensor,
    norm: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Divide one row by its root mean square and scale it by `norm`; BLOCK is at least WIDTH."""
    column = tl.arange(0, BLOCK)
    real = column < WIDTH
    scale = tl.load(norm + column, mask=real).to(tl.float32)
    at = tl.program_id(0).to(tl.int64) * WIDTH + column
    row = tl.load(x + at, mask=real, other=0.0).to(tl.float32)
    row *= tl.rsqrt(tl.sum(row * row, 0) / WIDTH + eps)
    tl.store(out + at, (row * scale).to(out.dtype.element_ty), mask=real)


@triton.jit
def swiglu(both: tl.tensor, out: tl.tensor, WIDTH: tl.constexpr, BLOCK: tl.constexpr) -> None:
    """silu(gate) * up, of rows that are gates and then ups, WIDTH each."""
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    real = column < WIDTH
    gate = tl.load(both + row * 2 * WIDTH + column, mask=real).to(tl.float32)
    up = tl.load(both + row * 2 * WIDTH + WIDTH + column, mask=real).to(tl.float32)
    tl.store(out + row * WIDTH + column, (gate * tl.sigmoid(gate) * up).to(out.dtype.element_ty), mask=real)


@triton.jit
def multiply_vector(
    x: tl.tensor,
    weight: tl.tensor,
    norm: tl.tensor,
    out: tl.tensor,
    low: tl.tensor,
    mask: tl.tensor,
    high: tl.tensor,
    eps: tl.tensor,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    RANK: tl.constexpr,
    NORMED: tl.constexpr,
    GATED: tl.constexpr,
    ADDED: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """TILE rows of weight @ x, for one vector x of WIDTH; the weight is read once, at memory speed.

    NORMED: x is divided by its root mean square and scaled by `norm` first. GATED: rows from ROWS on are the ups
    to the gates before them. ADDED: the result is added to `out`. RANK, if not 0: so is high (ROWS, RANK) @ (low
    * mask). BLOCK divides WIDTH, TILE divides ROWS.
    """
    row, column = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, BLOCK)
    at = weight + row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    gate, up = tl.zeros((TILE, BLOCK), tl.float32), tl.zeros((TILE, BLOCK), tl.float32)
    squares = tl.zeros((BLOCK,), tl.float32)
    for start in tl.static_range(0, WIDTH, BLOCK):
        piece = tl.load(x + start + column).to(tl.float32)
        if NORMED:
            squares += piece * piece
            piece *= tl.load(norm + start + column).to(tl.float32)
        gate += tl.load(at + start).to(tl.float32) * piece[None, :]
        if GATED:
            up += tl.load(at + ROWS * WIDTH + start).to(tl.float32) * piece[None, :]
    scale = tl.rsqrt(tl.sum(squares, 0) / WIDTH + eps) if NORMED else 1.0
    result = tl.sum(gate, 1) * scale
    if GATED:
        result *= tl.sigmoid(result) * tl.sum(up, 1) * scale
    if RANK > 0:
        part = tl.arange(0, RANK)
        chosen = tl.load(low + part) * tl.load(mask + part).to(tl.float32)
        result += tl.sum(tl.load(high + row[:, None] * RANK + part[None, :]).to(tl.float32) * chosen[None, :], 1)
    if ADDED:
        result += tl.load(out + row).to(tl.float32)
    tl.store(out + row, result.to(out.dtype.element_ty))
