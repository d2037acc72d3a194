"""Laws of the gated norm's backward: more programs, the same gradients. They need CUDA and mamba_ssm."""

from __future__ import annotations

import pytest
import torch

from training.gated_norm import ROWS_PER_PROGRAM, gradients_of_gated_norm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("rows", [1, ROWS_PER_PROGRAM, 5 * ROWS_PER_PROGRAM + 3])
def test_gradients_are_those_of_mamba_ssm(rows: int) -> None:
    from mamba_ssm.ops.triton.layernorm_gated import _layer_norm_bwd, _layer_norm_fwd

    columns, group, eps = 2048, 256, 1e-5
    generator = torch.Generator("cuda").manual_seed(rows)
    x, z, dy = (
        torch.randn(rows, columns, generator=generator, device="cuda").to(torch.bfloat16) for _ in range(3)
    )
    weight = torch.randn(columns, generator=generator, device="cuda").to(torch.bfloat16)
    kind = {"group_size": group, "norm_before_gate": False, "is_rms_norm": True}
    _, mean, deviation = _layer_norm_fwd(x, weight, None, eps, z, **kind)
    of_gate = torch.full_like(z, torch.nan)

    of_x = gradients_of_gated_norm(dy, x, weight, deviation, z, of_gate, width=group)
    theirs = _layer_norm_bwd(dy, x, weight, None, eps, mean, deviation, z, **kind)

    torch.testing.assert_close(of_x, theirs[0], rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(of_gate, theirs[3], rtol=2e-2, atol=2e-2)
