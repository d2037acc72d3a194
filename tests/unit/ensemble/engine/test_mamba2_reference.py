"""Our Mamba2 is that of mamba_ssm: eight groups of B and C, a gated norm by group. Needs CUDA and mamba_ssm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Mamba2Config, Mamba2ForCausalLM

from ensemble.engine.mamba2_network import Mamba2Network
from ensemble.engine.network import Chunk

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

GROUPS, HEADS, HEAD_DIM, STATE, INNER, WIDTH = 8, 128, 64, 128, 8192, 4096  # Codestral's
LENGTH = 300
TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 3e-2}
"""Relative error of logits after two layers, by the dtype of weights and activations."""


def codestral_layers(dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    config = Mamba2Config(vocab_size=4096, num_hidden_layers=2)  # everything else is Codestral's by default
    assert (config.n_groups, config.num_heads, config.head_dim, config.state_size) == (
        GROUPS,
        HEADS,
        HEAD_DIM,
        STATE,
    )
    module: Any = Mamba2ForCausalLM(config).to(device="cuda", dtype=dtype)
    with torch.no_grad():
        for block in module.backbone.layers:  # initial values are constants, which would hide mistakes
            block.mixer.norm.weight.uniform_(0.5, 1.5)
            block.mixer.D.uniform_(0.5, 1.5)
            block.mixer.dt_bias.uniform_(-4.0, -1.0)
    return module.eval()


def norm(x: Tensor, module: Any) -> Tensor:
    return functional.rms_norm(x.float(), (x.shape[-1],), module.weight.float(), module.variance_epsilon).to(
        x.dtype
    )


def mix(mixer: Any, x: Tensor) -> Tensor:
    """One mixer by mamba_ssm's and causal_conv1d's own functions, put together as in mamba_ssm.modules.mamba2."""
    from causal_conv1d import causal_conv1d_fn
    from mamba_ssm.ops.triton.layernorm_gated import rmsnorm_fn
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    gate, fresh, dt = mixer.in_proj(x).split([INNER, INNER + 2 * GROUPS * STATE, HEADS], dim=-1)
    convolved = causal_conv1d_fn(
        fresh.transpose(1, 2).contiguous(), mixer.conv1d.weight.squeeze(1), mixer.conv1d.bias, activation="silu"
    ).transpose(1, 2)
    values, keys, queries = convolved.split([INNER, GROUPS * STATE, GROUPS * STATE], dim=-1)
    length = x.shape[1]
    y = mamba_chunk_scan_combined(
        values.reshape(1, length, HEADS, HEAD_DIM).contiguous(),
        dt.contiguous(),
        -torch.exp(mixer.A_log.float()),
        keys.reshape(1, length, GROUPS, STATE).contiguous(),
        queries.reshape(1, length, GROUPS, STATE).contiguous(),
        chunk_size=256,
        D=mixer.D.float(),
        dt_bias=mixer.dt_bias.float(),
        dt_softplus=True,
    )
    normed = rmsnorm_fn(
        y.reshape(1, length, INNER),
        mixer.norm.weight,
        None,
        z=gate.contiguous(),
        eps=mixer.norm.variance_epsilon,
        group_size=INNER // GROUPS,
        norm_before_gate=False,
    )
    return mixer.out_proj(normed)  # type: ignore[no-any-return]


@torch.inference_mode()
def reference(module: Any, tokens: Tensor) -> Tensor:
    """Logits (length, vocabulary)."""
    hidden = module.backbone.embeddings(tokens[None])
    for block in module.backbone.layers:
        hidden = hidden + mix(block.mixer, norm(hidden, block.norm))
    return module.lm_head(norm(hidden, module.backbone.norm_f))[0].float()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@torch.inference_mode()
def test_logits_agree_with_mamba_ssm_in_prompts_and_steps(dtype: torch.dtype) -> None:
    pytest.importorskip("mamba_ssm")
    module = codestral_layers(dtype)
    tokens = torch.randint(3, 4096, (LENGTH,), generator=torch.Generator().manual_seed(2))
    expected = reference(module, tokens.cuda())
    network = Mamba2Network(module, slots=2, state_dtype=dtype)
    read = 256 + 32
    network.open(1, LENGTH)
    for start, end in ((0, 64), (64, 256), (256, read)):
        logits = network.prefill([Chunk(1, start, tokens[start:end].tolist())])
        assert relative(logits[0], expected[end - 1]) < TOLERANCE[dtype]
    slot = torch.tensor([1], device="cuda")
    for position in range(read, LENGTH):
        token, place = (torch.tensor([value], device="cuda") for value in (int(tokens[position]), position))
        logits = network.decode(slot, token, place)
        assert relative(logits[0], expected[position]) < TOLERANCE[dtype]


def relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual.float() - expected).norm() / expected.norm())
