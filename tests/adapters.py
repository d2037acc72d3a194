"""LoRA adapters with random weights for the tiny Mamba2, in peft's layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ensemble.engine.tiny import HIDDEN, LAYERS

INNER = 2 * HIDDEN
PROJECTED = 2 * INNER + 2 * 2 * 16 + 8  # gate, x, B and C of two groups, time steps of eight heads
SHAPES = {
    f"backbone.layers.{layer}.mixer.{name}": shape
    for layer in range(LAYERS)
    for name, shape in (("in_proj", (PROJECTED, HIDDEN)), ("out_proj", (HIDDEN, INNER)))
}
"""(outputs, inputs) of every linear map that an adapter may change."""


def random_tensors(rank: int, seed: int, spread: float = 0.3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (outputs, inputs) in SHAPES.items():
        for side, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
            tensors[f"base_model.model.{name}.lora_{side}.weight"] = spread * torch.randn(
                shape, generator=generator
            )
    return tensors


def write_adapter(
    directory: Path,
    *,
    rank: int = 4,
    seed: int = 1,
    config: Mapping[str, object] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> Path:
    """An adapter of its own for every seed; `config` and `tensors` replace what would be written."""
    directory.mkdir(parents=True, exist_ok=True)
    described = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "bias": "none", **(config or {})}
    (directory / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    kept = random_tensors(rank, seed) if tensors is None else dict(tensors)
    save_file(kept, directory / "adapter_model.safetensors")
    return directory
