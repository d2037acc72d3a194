"""The backward of mamba_ssm's gated norm, by enough programs to fill the card.

mamba_ssm starts one small program per multiprocessor, which leaves most of the memory bandwidth unused when there
are thousands of tokens. Its kernel is taken as it is; only the rows are dealt out to more programs, and the
gradient of the weight, which is frozen, is not summed up.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROWS_PER_PROGRAM = 32
MOST_COLUMNS = 4096
"""Of one group, which one program holds in registers; wider ones are left to mamba_ssm."""


def gradients_of_gated_norm(  # noqa: PLR0917
    of_out: Tensor, x: Tensor, weight: Tensor, deviation: Tensor, gate: Tensor, of_gate: Tensor, *, width: int
) -> Tensor:
    """The gradient of x (rows, columns); that of `gate` is written into `of_gate`.

    The norm is by groups of `width` columns, after the gate; `deviation` is what mamba_ssm's forward returned.
    """
    from mamba_ssm.ops.triton.layernorm_gated import _layer_norm_bwd, _layer_norm_bwd_kernel
    from triton import cdiv, next_power_of_2

    if width > MOST_COLUMNS:
        of_x: Tensor = _layer_norm_bwd(
            *(of_out, x, weight, None, 0.0, None, deviation, gate),
            group_size=width,
            norm_before_gate=False,
            is_rms_norm=True,
            dz=of_gate,
        )[0]
        return of_x
    rows, columns = x.shape
    programs = cdiv(rows, ROWS_PER_PROGRAM)
    of_x = torch.empty_like(x)
    unused = torch.empty((programs, columns), dtype=torch.float32, device=x.device)
    strides = (x.stride(0), gate.stride(0), 0, of_out.stride(0), of_x.stride(0), of_gate.stride(0))
    with torch.cuda.device(x.device):
        _layer_norm_bwd_kernel[programs, columns // width](
            *(x, weight, None, gate, None, of_out, of_x, unused, None, of_gate, None, deviation),
            *(*strides, unused.stride(0), 0),
            *(rows, width, 0.0, ROWS_PER_PROGRAM),
            BLOCK_N=next_power_of_2(width),
            NORM_BEFORE_GATE=False,
            IS_RMS_NORM=True,
            num_warps=min(max(width // 256, 1), 8),
        )
    return of_x
