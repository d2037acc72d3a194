"""The two small networks: their shapes, and a forward pass that trains on CUDA and on the CPU."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Mamba2Config, Mamba2ForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer, Mamba2RMSNorm
from transformers.models.mistral.modeling_mistral import MistralRMSNorm

from core.messages import ModelName
from training.mini.encoding import BOS, EOS, TOKENIZER
from training.packed_mixer import PackedMixer

CONTEXT_TOKENS = 4096
SHAPES: dict[str, dict[str, int]] = {
    # width, layers, width of the MLP, heads, heads of keys and values
    "mathstral": {"width": 384, "layers": 7, "inner": 992, "heads": 6, "keys": 2},
    # width, layers, heads, groups, state; heads of 64, and their number a multiple of 8, as causal-conv1d wants
    "codestral": {"width": 512, "layers": 6, "heads": 16, "groups": 2, "state": 64},
    "mathstral-tiny": {"width": 128, "layers": 4, "inner": 320, "heads": 2, "keys": 1},
    "codestral-tiny": {"width": 128, "layers": 3, "heads": 4, "groups": 2, "state": 32},
}


def make_network(model: ModelName, shape: dict[str, int], *, vocabulary: int, seed: int) -> PreTrainedModel:
    """A network with fresh weights in fp32, ready for training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _mistral(shape, vocabulary) if model is ModelName.MATHSTRAL else _mamba2(shape, vocabulary)
    return make_lean(network)


def _mistral(shape: dict[str, int], vocabulary: int) -> PreTrainedModel:
    config = MistralConfig(
        vocab_size=vocabulary,
        hidden_size=shape["width"],
        intermediate_size=shape["inner"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["keys"],
        head_dim=shape["width"] // shape["heads"],
        max_position_embeddings=CONTEXT_TOKENS,
        sliding_window=None,
        tie_word_embeddings=True,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    config._attn_implementation = "sdpa"
    return MistralForCausalLM(config)


def _mamba2(shape: dict[str, int], vocabulary: int) -> PreTrainedModel:
    config = Mamba2Config(
        vocab_size=vocabulary,
        hidden_size=shape["width"],
        expand=2,
        num_heads=shape["heads"],
        head_dim=2 * shape["width"] // shape["heads"],
        state_size=shape["state"],
        n_groups=shape["groups"],
        num_hidden_layers=shape["layers"],
        chunk_size=64,
        tie_word_embeddings=True,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=EOS,
        initializer_range=0.02,
    )
    return Mamba2ForCausalLM(config)


class _OneKernelNorm(nn.Module):
    weight: nn.Parameter
    variance_epsilon: float

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.rms_norm(hidden.float(), hidden.shape[-1:], self.weight, self.variance_epsilon)


class _MistralNorm(_OneKernelNorm, MistralRMSNorm):
    """The same norm in one kernel."""


class _Mamba2Norm(_OneKernelNorm, Mamba2RMSNorm):
    """The same norm in one kernel."""


class _Mixer(PackedMixer):
    """On CUDA the fused kernels, on the CPU transformers' own code; rows begin with their first token."""

    def forward(self, hidden_states: Tensor, *rest: Any, **options: Any) -> Tensor:
        if not hidden_states.is_cuda:
            plain: Tensor = Mamba2Mixer.forward(self, hidden_states)
            return plain
        mixed: Tensor = self.out_proj(self._scan(self.in_proj(hidden_states)))
        return mixed

    def _scan(self, projected: Tensor) -> Tensor:
        """What `out_proj` is given; mamba_ssm's kernels, with gradients of every weight."""
        from mamba_ssm.ops.triton.ssd_combined import mamba_split_conv1d_scan_combined

        scanned: Tensor = mamba_split_conv1d_scan_combined(
            *(projected, self.conv1d.weight.squeeze(1), self.conv1d.bias, self.dt_bias),
            *(-torch.exp(self.A_log.float()),),
            D=self.D,
            chunk_size=self.chunk_size,
            dt_limit=self.time_step_limit,
            rmsnorm_weight=self.norm.weight,
            rmsnorm_eps=self.norm.variance_epsilon,
            headdim=self.head_dim,
            ngroups=self.n_groups,
            norm_before_gate=False,
        )
        return scanned


def make_lean(network: PreTrainedModel) -> PreTrainedModel:
    """Exchange classes of modules for leaner ones; names and weights stay."""
    leaner = {MistralRMSNorm: _MistralNorm, Mamba2RMSNorm: _Mamba2Norm, Mamba2Mixer: _Mixer}
    for module in network.modules():
        module.__class__ = leaner.get(type(module), type(module))
    return network


def hidden_states(network: PreTrainedModel, tokens: Tensor) -> Tensor:
    """(rows, tokens) to (rows, tokens, width), normed; every row begins at its first token."""
    inner: Any = network
    if isinstance(network, MistralForCausalLM):
        hidden: Tensor = inner.model(input_ids=tokens, use_cache=False)[0]
        return hidden
    hidden = inner.backbone.embeddings(tokens)
    for block in inner.backbone.layers:
        hidden = hidden + block.mixer(block.norm(hidden))
    normed: Tensor = inner.backbone.norm_f(hidden)
    return normed


def head_of(network: PreTrainedModel) -> Tensor:
    """The output embedding (vocabulary, width); tied to the input one."""
    head: Any = network.get_output_embeddings()  # type: ignore[no-untyped-call]
    weight: Tensor = head.weight
    return weight


def save_network(network: PreTrainedModel, directory: Path) -> None:
    """Write the hub's layout in bf16, with the tokenizer; an older one is replaced only when all is written."""
    draft = directory.with_name(f".{directory.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    state = {
        name: value.detach().to("cpu", torch.bfloat16, copy=True) for name, value in network.state_dict().items()
    }
    state.pop("lm_head.weight", None)  # tied
    config: Any = network.config
    config.dtype = torch.bfloat16
    network.save_pretrained(draft, state_dict=state)
    shutil.copyfile(TOKENIZER, draft / TOKENIZER.name)
    shutil.rmtree(directory, ignore_errors=True)
    draft.rename(directory)


def load_weights(network: PreTrainedModel, directory: Path) -> None:
    """Take over the weights that `save_network` wrote, into fp32."""
    from safetensors.torch import load_file

    weights = {name: value.float() for name, value in load_file(directory / "model.safetensors").items()}
    missing = network.load_state_dict(weights, strict=False)
    if missing.unexpected_keys or [key for key in missing.missing_keys if key != "lm_head.weight"]:
        raise ValueError(f"{directory} holds another network: {missing}")
    network.tie_weights()
