"""The steps of a transformer layer around attention: few kernels on CUDA, torch elsewhere."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_WIDEST_NORM = 1 << 14  # what one program holds in registers
_COLUMNS = 1024  # of a row of `swiglu`, in one program
_LEAST_BLOCK = 64
_VECTOR_TILE, _VECTOR_BLOCK = 4, 2048  # of weights: 94 % of the copy bandwidth of an H200, the best of those tried


class Norm(NamedTuple):
    """A root mean square norm: its scale (width,) and epsilon."""

    weight: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise n rows, in fp32 within."""
        width = x.shape[1]
        if not x.is_cuda or width > _WIDEST_NORM:
            return functional.rms_norm(x, (width,), self.weight, self.eps)
        from ensemble.engine import dense_kernels as kernels

        out = torch.empty_like(x)
        kernels.normalise[(x.shape[0],)](
            x, self.weight, out, self.eps, WIDTH=width, BLOCK=1 << (width - 1).bit_length(), num_warps=8
        )
        return out


class LowRankVector(NamedTuple):
    """What is added to a product with one vector: up (rows, rank) @ (low * mask), the latter two (1, rank).

    `low` is fp32; the rank is a power of two.
    """

    low: Tensor
    mask: Tensor
    up: Tensor


def project(x: Tensor, weight: Tensor, norm: Norm) -> Tensor:
    """weight @ norm(x), of n rows."""
    if _is_vector(x, weight):
        return multiply_vector(x, weight, x.new_empty((1, weight.shape[0])), norm=norm)
    return functional.linear(norm(x), weight)


def project_gated(x: Tensor, weight: Tensor, norm: Norm) -> Tensor:
    """silu(gate) * up of n rows, where `weight` is that of the gates above that of the ups."""
    if _is_vector(x, weight):
        return multiply_vector(x, weight, x.new_empty((1, weight.shape[0] // 2)), norm=norm, gated=True)
    return swiglu(functional.linear(norm(x), weight))


def add_projected(out: Tensor, x: Tensor, weight: Tensor) -> None:
    """Add weight @ x to the n rows of `out`."""
    if _is_vector(x, weight):
        multiply_vector(x, weight, out, added=True)
    else:
        out.addmm_(x, weight.T)


def swiglu(both: Tensor) -> Tensor:
    """silu(gate) * up, of n rows that are gates and then ups."""
    if not both.is_cuda:
        gate, up = torch.chunk(both, 2, dim=-1)
        return functional.silu(gate) * up
    from ensemble.engine import dense_kernels as kernels

    rows, width = both.shape[0], both.shape[1] // 2
    out = both.new_empty((rows, width))
    kernels.swiglu[(rows, -(-width // _COLUMNS))](both, out, WIDTH=width, BLOCK=_COLUMNS)
    return out


def _is_vector(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel for one row takes it: for more, cuBLAS is better."""
    return x.is_cuda and x.shape[0] == 1 and takes_vector(weight)


def takes_vector(weight: Tensor) -> bool:
    """Whether `multiply_vector` takes this weight: whole tiles of rows, gates and ups too, in even blocks."""
    return weight.shape[0] % (2 * _VECTOR_TILE) == 0 and weight.shape[1] % _LEAST_BLOCK == 0


def multiply_vector(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    norm: Norm | None = None,
    low_rank: LowRankVector | None = None,
    gated: bool = False,
    added: bool = False,
) -> Tensor:
    """Fill `out` (1, rows) with the product of `weight` and one vector `x` (1, width) or its norm, or add it."""
    from ensemble.engine import dense_kernels as kernels

    width = weight.shape[1]
    low, mask, up = low_rank or (x, x, x)
    kernels.multiply_vector[(out.shape[1] // _VECTOR_TILE,)](
        *(x, weight, x if norm is None else norm.weight, out, low, mask, up),
        0.0 if norm is None else norm.eps,
        ROWS=out.shape[1],
        WIDTH=width,
        RANK=0 if low_rank is None else low_rank.low.shape[1],
        NORMED=norm is not None,
        GATED=gated,
        ADDED=added,
        TILE=_VECTOR_TILE,
        BLOCK=min(_VECTOR_BLOCK, width & -width),
        num_warps=4,
    )
    return out
