# ruff: noqa: N803, PLR0917 -- Triton's constants are written like this, and it takes no keywords only
"""Triton kernels of RMS norms. Import on CUDA only."""

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
