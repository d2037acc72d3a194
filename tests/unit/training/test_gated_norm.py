"""Laws of the gated norm's backward: more programs, the same gradients. They need CUDA and mamba_ssm."""

from __future__ import annotations

import pytest
import torch

from training.gated_norm import ROWS_PER_PROGRAM, backward

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
    _, mean, rstd = _layer_norm_fwd(x, weight, None, eps, z, **kind)
    given = (dy, x, weight, None, eps, mean, rstd, z)

    ours = backward(*given, **kind, recompute_output=False, dz=torch.full_like(z, torch.nan))
    theirs = _layer_norm_bwd(*given, **kind)

    for name, one, other in zip(("x", "weight", "bias", "z"), ours, theirs, strict=True):
        if one is None or other is None:
            assert one is other, name
        else:
            torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2, msg=name)
