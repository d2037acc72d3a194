# ruff: noqa: N803, PLR0917 -- Triton's constants are written like this, and it takes no keywords only
"""Triton kernels of the norm that each block begins with. Import on CUDA only."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def normalize(
    stream: tl.tensor,
    weight: tl.tensor,
    rounded: tl.tensor,
    deviation: tl.tensor,
    out: tl.tensor,
    eps: tl.tensor,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """The norm of the stream as rounded, that, and 1 / its root mean square; COLUMNS >= WIDTH. Grid (rows,)."""
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, COLUMNS)
    real, place = column < WIDTH, row * WIDTH + column
    kept = tl.load(stream + place, mask=real, other=0.0).to(rounded.dtype.element_ty)
    tl.store(rounded + place, kept, mask=real)
    value = kept.to(tl.float32)
    scale = tl.rsqrt(tl.sum(value * value, 0) / WIDTH + eps)
    tl.store(deviation + row, scale)
    value *= scale * tl.load(weight + column, mask=real, other=0.0).to(tl.float32)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=real)


@triton.jit
def normalize_backward(
    of_out: tl.tensor,
    of_stream: tl.tensor,
    weight: tl.tensor,
    rounded: tl.tensor,
    deviation: tl.tensor,
    into: tl.tensor,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """The gradient of the stream: `of_stream`, which passed the norm by, and what came through. Grid (rows,)."""
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, COLUMNS)
    real, place = column < WIDTH, row * WIDTH + column
    value = tl.load(rounded + place, mask=real, other=0.0).to(tl.float32)
    scale = tl.load(deviation + row)
    gradient = tl.load(of_out + place, mask=real, other=0.0).to(tl.float32)
    gradient *= tl.load(weight + column, mask=real, other=0.0).to(tl.float32)
    along = tl.sum(gradient * value, 0) * scale * scale / WIDTH
    gradient = scale * (gradient - along * value)
    gradient += tl.load(of_stream + place, mask=real, other=0.0).to(tl.float32)
    tl.store(into + place, gradient.to(into.dtype.element_ty), mask=real)
