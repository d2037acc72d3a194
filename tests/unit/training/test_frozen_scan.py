"""Laws of training's kernels: the gradients of mamba_ssm and of torch. They need CUDA and mamba_ssm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.frozen_scan import FrozenMixer, frozen_scan
from training.stream_norm import StreamNorm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
HEADS, HEAD_WIDTH, GROUPS, STATE_WIDTH, CHUNK = 32, 64, 8, 128, 256
WIDTH, TOKENS = HEADS * HEAD_WIDTH, 3 * CHUNK + 17


def drawn(*shape: int, seed: int, scale: float = 1.0, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator, device="cuda")).to(dtype)


@pytest.fixture
def mixer() -> FrozenMixer:
    channels = WIDTH + 2 * GROUPS * STATE_WIDTH
    return FrozenMixer(
        kernel=drawn(channels, 4, seed=1, scale=0.5),
        kernel_bias=drawn(channels, seed=2, scale=0.1),
        decay=-torch.exp(drawn(HEADS, seed=3, dtype=torch.float32)),
        skip=drawn(HEADS, seed=4),
        time_bias=drawn(HEADS, seed=5),
        norm=1 + drawn(WIDTH, seed=6, scale=0.1),
        epsilon=1e-5,
        head_width=HEAD_WIDTH,
        groups=GROUPS,
        state_width=STATE_WIDTH,
        chunk_tokens=CHUNK,
        time_limit=(0.0, float("inf")),
    )


@pytest.fixture
def files() -> Tensor:
    """Two rows; their files begin within chunks, and at the border of one."""
    numbers = torch.zeros(2, TOKENS, dtype=torch.int32, device="cuda")
    for row, begin in [(0, 100), (0, 300), (0, 512), (1, 257)]:
        numbers[row, begin:] += 1
    return numbers


def of_mamba_ssm(projected: Tensor, files: Tensor, mixer: FrozenMixer) -> Tensor:
    from mamba_ssm.ops.triton.ssd_combined import mamba_split_conv1d_scan_combined

    scanned: Tensor = mamba_split_conv1d_scan_combined(
        *(projected, mixer.kernel, mixer.kernel_bias, mixer.time_bias, mixer.decay),
        D=mixer.skip,
        chunk_size=mixer.chunk_tokens,
        seq_idx=files,
        dt_limit=mixer.time_limit,
        rmsnorm_weight=mixer.norm,
        rmsnorm_eps=mixer.epsilon,
        headdim=mixer.head_width,
        ngroups=mixer.groups,
        norm_before_gate=False,
    )
    return scanned


@pytest.mark.parametrize("keeps_everything", [False, True])
def test_scan_and_gradient_are_those_of_mamba_ssm(
    mixer: FrozenMixer, files: Tensor, keeps_everything: bool
) -> None:
    """Within one per cent of the norm: states between chunks are bf16 in backward, as they are in forward."""
    columns = 2 * WIDTH + 2 * GROUPS * STATE_WIDTH + HEADS
    projected = drawn(2, TOKENS, columns, seed=7).requires_grad_()
    gradient = drawn(2, TOKENS, WIDTH, seed=8)
    ours = frozen_scan(projected, files, mixer, keeps_everything=keeps_everything)
    (own,) = torch.autograd.grad(ours, projected, gradient)
    theirs = of_mamba_ssm(projected, files, mixer)
    (expected,) = torch.autograd.grad(theirs, projected, gradient)
    assert torch.equal(ours, theirs)
    for name, one, other in zip(("gate", "inner", "times"), mixer.split(own), mixer.split(expected), strict=True):
        assert (one - other).float().norm() < 0.01 * other.float().norm(), name


def test_the_stream_norm_is_rms_norm_beside_the_stream() -> None:
    norm = StreamNorm(4096, eps=1e-5).cuda().to(torch.bfloat16)
    norm.weight.data = 1 + drawn(4096, seed=1, scale=0.1)
    norm.requires_grad_(False)
    stream = drawn(3, 50, 4096, seed=2, dtype=torch.float32).requires_grad_()
    through, beside = drawn(3, 50, 4096, seed=3), drawn(3, 50, 4096, seed=4, dtype=torch.float32)
    normed, passed = norm(stream)
    (own,) = torch.autograd.grad((normed, passed), stream, (through, beside))
    expected = functional.rms_norm(stream.to(torch.bfloat16).float(), (4096,), norm.weight.float(), 1e-5)
    (gradient,) = torch.autograd.grad(expected, stream, through.float())
    assert torch.equal(passed, stream)
    torch.testing.assert_close(normed.float(), expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(own, gradient + beside, rtol=1e-2, atol=1e-2)
