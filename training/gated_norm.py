"""The backward of mamba_ssm's gated norm, by enough programs to fill the card.

mamba_ssm starts one small program per multiprocessor, which leaves most of the memory bandwidth unused when there
are thousands of tokens. Its kernel is taken as it is; only the rows are dealt out to more programs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

ROWS_PER_PROGRAM = 32
MOST_COLUMNS = 4096
"""Of one group, which one program holds in registers; wider ones are left to mamba_ssm."""


@cache
def deal_out_gated_norm() -> None:
    """Have mamba_ssm's fused scan use `backward`, in this process; after the first call it does nothing."""
    from mamba_ssm.ops.triton import ssd_combined

    ssd_combined._layer_norm_bwd = backward


def backward(  # noqa: PLR0917
    dy: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    eps: float,
    mean: Tensor | None,
    rstd: Tensor,
    z: Tensor | None,
    **options: Any,
) -> tuple[Tensor | None, ...]:
    """What mamba_ssm's `_layer_norm_bwd` returns: gradients of x, weight, bias and z (rows, columns)."""
    from mamba_ssm.ops.triton import layernorm_gated

    width = options["group_size"] or x.shape[1]
    is_usual = options["is_rms_norm"] and not options["norm_before_gate"] and not options["recompute_output"]
    dz = options["dz"]
    if not is_usual or z is None or dz is None or width > MOST_COLUMNS:
        other: tuple[Tensor | None, ...] = layernorm_gated._layer_norm_bwd(
            dy, x, weight, bias, eps, mean, rstd, z, **options
        )
        return other
    return _dealt_out(dy, x, weight, rstd, z, dz, eps=eps, width=width)


def _dealt_out(  # noqa: PLR0917
    dy: Tensor, x: Tensor, weight: Tensor, rstd: Tensor, z: Tensor, dz: Tensor, *, eps: float, width: int
) -> tuple[Tensor | None, ...]:
    from mamba_ssm.ops.triton.layernorm_gated import _layer_norm_bwd_kernel
    from triton import cdiv, next_power_of_2

    rows, columns = x.shape
    programs = cdiv(rows, ROWS_PER_PROGRAM)
    dx = torch.empty_like(x)
    partial = torch.empty((programs, columns), dtype=torch.float32, device=x.device)
    with torch.cuda.device(x.device):
        _layer_norm_bwd_kernel[programs, columns // width](
            *(x, weight, None, z, None, dy, dx, partial, None, dz, None, rstd),
            *(x.stride(0), z.stride(0), 0, dy.stride(0), dx.stride(0), dz.stride(0), partial.stride(0), 0),
            *(rows, width, eps, ROWS_PER_PROGRAM),
            BLOCK_N=next_power_of_2(width),
            NORM_BEFORE_GATE=False,
            IS_RMS_NORM=True,
            num_warps=min(max(width // 256, 1), 8),
        )
    return dx, partial.sum(0).to(weight.dtype), None, dz
