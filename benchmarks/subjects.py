"""The models under test: full 7B or tiny shapes with random bf16 weights, and what their steps cost at least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    Mamba2Config,
    Mamba2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from benchmarks.machine import Machine
from core.messages import ModelName

MODELS = {"mistral": ModelName.MATHSTRAL, "mamba2": ModelName.CODESTRAL}
SHAPES = ("full", "tiny")
CONTEXT_TOKENS = 4096  # of prompt plus answer; nothing here needs more
_VOCABULARY = 32_768
_TINY_MISTRAL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
_TINY_MAMBA2: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_heads": 8,
    "head_dim": 16,
    "state_size": 16,
    "n_groups": 2,
    "chunk_size": 32,
}
_CLASSES: dict[ModelName, Any] = {ModelName.MATHSTRAL: MistralForCausalLM, ModelName.CODESTRAL: Mamba2ForCausalLM}


def config_of(model: ModelName, shape: str) -> PreTrainedConfig:
    """The 7B configuration of `model`, or one that a CPU runs in no time."""
    if model is ModelName.MATHSTRAL:
        sizes = {} if shape == "full" else _TINY_MISTRAL
        limits: dict[str, Any] = {"vocab_size": _VOCABULARY, "max_position_embeddings": _VOCABULARY}
        return MistralConfig(**limits, sliding_window=None, **sizes)
    return Mamba2Config(**({} if shape == "full" else _TINY_MAMBA2))


def random_module(
    model: ModelName, shape: str, device: torch.device, *, layers: int | None = None
) -> PreTrainedModel:
    """The same weights at every call; with fewer layers than the shape has, if `layers` says so."""
    torch.manual_seed(0)
    config: Any = config_of(model, shape)
    if layers is not None and layers < config.num_hidden_layers:
        config.num_hidden_layers = layers
    with device:
        module: Any = _CLASSES[model]._from_config(config, dtype=torch.bfloat16)
    random: PreTrainedModel = module.eval()
    return random


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The least time of one decoding step, by what limits it."""

    memory_s: float
    matmul_s: float

    @property
    def step_s(self) -> float:
        """Memory and arithmetic perfectly overlapped."""
        return max(self.memory_s, self.matmul_s)

    @property
    def serial_s(self) -> float:
        """One after the other."""
        return self.memory_s + self.matmul_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model under test, and what a step of it must move and multiply."""

    model: ModelName
    module: PreTrainedModel
    weight_bytes: int  # all but the embedding
    weight_count: int  # entries of the matrices that every token is multiplied with
    state_bytes: int  # of one sequence, moved in each step, whatever its length
    token_bytes: int  # of one token of context, read in each step
    token_flops: int  # of one token of context, in each step

    @classmethod
    def of(cls, model: ModelName, module: PreTrainedModel) -> Subject:
        config: Any = module.config
        state = token = flops = 0
        if model is ModelName.CODESTRAL:
            entries = config.num_hidden_layers * config.num_heads * config.head_dim * config.state_size
            state = 2 * 2 * entries  # read and written, in bf16
        else:
            token = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
            flops = 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
        return cls(
            model=model,
            module=module,
            weight_bytes=streamed_bytes(module),
            weight_count=_matrix_entries(module),
            state_bytes=state,
            token_bytes=token,
            token_flops=flops,
        )

    def bound(self, machine: Machine, *, rows: int, context: float) -> Bound:
        """Of a step of `rows` sequences with `context` tokens each."""
        moved = self.weight_bytes + rows * (self.state_bytes + context * self.token_bytes)
        multiplied = rows * (2 * self.weight_count + context * self.token_flops)
        return Bound(memory_s=moved / machine.bytes_per_s, matmul_s=multiplied / machine.flops)

    def prefill_bound_s(self, machine: Machine, *, rows: int, tokens: int) -> float:
        """Least time to read `rows` prompts of `tokens`: arithmetic, logits of the last tokens only."""
        head = self.module.config.vocab_size * self.module.config.hidden_size
        body = rows * tokens * 2 * (self.weight_count - head)
        attended = rows * tokens * (tokens + 1) / 2 * self.token_flops
        matmul_s: float = (body + attended + rows * 2 * head) / machine.flops
        return max(matmul_s, self.weight_bytes / machine.bytes_per_s)


def streamed_bytes(module: PreTrainedModel) -> int:
    """Bytes of all weights but the embedding, the scales of 4-bit ones included."""
    embedding: Any = module.get_input_embeddings().weight
    states = [getattr(each, "quant_state", None) for each in module.parameters()]
    scales = sum(state.absmax.nbytes for state in states if state is not None)
    return int(sum(each.nbytes for each in module.parameters()) - embedding.nbytes + scales)


def _matrix_entries(module: PreTrainedModel) -> int:
    linears = (each for each in module.modules() if isinstance(each, torch.nn.Linear))
    return sum(linear.in_features * linear.out_features for linear in linears)
