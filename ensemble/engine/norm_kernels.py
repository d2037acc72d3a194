# ruff: noqa: N803, PLR0913, PLR0917 -- Triton's constants are written like this, and it takes no keywords only
"""Triton kernels of RMS norms, and of the matrix-vector product with a norm before it. Import on CUDA only."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def add_normalize(
    hidden: tl.tensor,
    update: tl.tensor,
    weight: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    ADDED: tl.constexpr,
) -> None:
    """hidden += update, and its norm; COLUMNS >= WIDTH. Grid (rows,)."""
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, COLUMNS)
    real = column < WIDTH
    value = tl.load(hidden + row * WIDTH + column, mask=real, other=0.0).to(tl.float32)
    if ADDED:
        value += tl.load(update + row * WIDTH + column, mask=real, other=0.0).to(tl.float32)
        tl.store(hidden + row * WIDTH + column, value.to(hidden.dtype.element_ty), mask=real)
    value *= tl.rsqrt(tl.sum(value * value, 0) / WIDTH + eps)
    value *= tl.load(weight + column, mask=real, other=0.0).to(tl.float32)
    tl.store(out + row * WIDTH + column, value.to(out.dtype.element_ty), mask=real)


@triton.jit
def normalize_groups(
    values: tl.tensor,
    weight: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """The norm of each group of WIDTH. Grid (rows, GROUPS)."""
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, COLUMNS)
    real, place = column < WIDTH, tl.program_id(1) * WIDTH + column
    value = tl.load(values + row * GROUPS * WIDTH + place, mask=real, other=0.0).to(tl.float32)
    value *= tl.rsqrt(tl.sum(value * value, 0) / WIDTH + eps)
    value *= tl.load(weight + place, mask=real, other=0.0).to(tl.float32)
    tl.store(out + row * GROUPS * WIDTH + place, value.to(out.dtype.element_ty), mask=real)


@triton.jit
def multiply_normed(
    x: tl.tensor,
    norm: tl.tensor,
    weight: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """out = weight (ROWS, WIDTH) @ the norm of one vector; COLUMNS divides WIDTH. Grid (ROWS / TILE, rounded up).

    The weight is read once, at the speed of memory.
    """
    row, column = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, COLUMNS)
    line, real = weight + row.to(tl.int64)[:, None] * WIDTH + column[None, :], row < ROWS
    sums, squares = tl.zeros((TILE, COLUMNS), tl.float32), tl.zeros((COLUMNS,), tl.float32)
    for at in tl.static_range(0, WIDTH, COLUMNS):
        piece = tl.load(x + at + column).to(tl.float32)
        squares += piece * piece
        piece *= tl.load(norm + at + column).to(tl.float32)
        sums += tl.load(line + at, mask=real[:, None], other=0.0).to(tl.float32) * piece[None, :]
    total = tl.sum(sums, 1) * tl.rsqrt(tl.sum(squares, 0) / WIDTH + eps)
    tl.store(out + row, total.to(out.dtype.element_ty), mask=real)


@triton.jit
def multiply_group_normed(
    x: tl.tensor,
    squares: tl.tensor,
    norm: tl.tensor,
    weight: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    GROUP: tl.constexpr,
    PER: tl.constexpr,
    TILE: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """out += weight (ROWS, WIDTH) @ the norm by groups of GROUP of one vector. Grid (ROWS / TILE, rounded up).

    `squares` are sums of the vector's squares, PER of them to a group. COLUMNS divides GROUP.
    """
    row, column, part = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, COLUMNS), tl.arange(0, PER)
    line, real = weight + row.to(tl.int64)[:, None] * WIDTH + column[None, :], row < ROWS
    sums = tl.zeros((TILE, COLUMNS), tl.float32)
    for at in tl.static_range(0, WIDTH, COLUMNS):
        scale = tl.rsqrt(tl.sum(tl.load(squares + at // GROUP * PER + part), 0) / GROUP + eps)
        piece = tl.load(x + at + column).to(tl.float32) * tl.load(norm + at + column).to(tl.float32) * scale
        sums += tl.load(line + at, mask=real[:, None], other=0.0).to(tl.float32) * piece[None, :]
    total = tl.sum(sums, 1) + tl.load(out + row, mask=real, other=0.0).to(tl.float32)
    tl.store(out + row, total.to(out.dtype.element_ty), mask=real)
