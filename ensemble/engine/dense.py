"""The steps of a transformer layer around attention: few kernels on CUDA, torch elsewhere."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_WIDEST_NORM = 1 << 14  # what one program holds in registers
_COLUMNS = 1024  # of a row of `swiglu`, in one program
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


def project(x: Tensor, weight: Tensor, norm: Norm) -> Tensor:
    """weight @ norm(x), of n rows."""
    if _is_vector(x, weight):
        return _multiply_vector(x, weight, x.new_empty((1, weight.shape[0])), norm=norm)
    return functional.linear(norm(x), weight)


def project_gated(x: Tensor, weight: Tensor, norm: Norm) -> Tensor:
    """silu(gate) * up of n rows, where `weight` is that of the gates above that of the ups."""
    if _is_vector(x, weight):
        return _multiply_vector(x, weight, x.new_empty((1, weight.shape[0] // 2)), norm=norm, gated=True)
    return swiglu(functional.linear(norm(x), weight))


def add_projected(out: Tensor, x: Tensor, weight: Tensor) -> None:
    """Add weight @ x to the n rows of `out`."""
    if _is_vector(x, weight):
        _multiply_vector(x, weight, out, added=True)
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
    rows, width = weight.shape
    return x.is_cuda and x.shape[0] == 1 and width % _VECTOR_BLOCK == 0 and rows % (2 * _VECTOR_TILE) == 0


def _multiply_vector(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    norm: Norm | None = None,
    gated: bool = False,
    added: bool = False,
) -> Tensor:
    from ensemble.engine import dense_kernels as kernels

    kernels.multiply_vector[(out.shape[1] // _VECTOR_TILE,)](
        x,
        weight,
        x if norm is None else norm.weight,
        out,
        0.0 if norm is None else norm.eps,
        ROWS=out.shape[1],
        WIDTH=weight.shape[1],
        NORMED=norm is not None,
        GATED=gated,
        ADDED=added,
        TILE=_VECTOR_TILE,
        BLOCK=_VECTOR_BLOCK,
        num_warps=4,
    )
    return out
