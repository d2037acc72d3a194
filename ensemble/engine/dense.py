"""The steps of a transformer layer around attention: few kernels on CUDA, torch elsewhere."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

_BLOCK = 1024
_TILE = 4


class Norm(NamedTuple):
    """A root mean square norm: its scale (width,) and epsilon."""

    weight: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


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
    """silu(gate) * up, of rows that are gates and then ups."""
    if not both.is_cuda:
        gate, up = both.chunk(2, dim=-1)
        return functional.silu(gate) * up
    from ensemble.engine import dense_kernels as kernels

    rows, width = both.shape[0], both.shape[1] // 2
    out = both.new_empty((rows, width))
    kernels.swiglu[(rows, -(-width // _BLOCK))](both, out, WIDTH=width, BLOCK=_BLOCK)
    return out


def _is_vector(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel for one row takes it: beyond one, cuBLAS is as fast."""
    rows, width = weight.shape
    return x.is_cuda and x.shape[0] == 1 and width % _BLOCK == 0 and rows % (2 * _TILE) == 0


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

    kernels.multiply_vector[(out.shape[1] // _TILE,)](
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
        TILE=_TILE,
        BLOCK=_BLOCK,
    )
    return out
