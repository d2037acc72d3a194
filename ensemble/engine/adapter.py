"""Reads a LoRA adapter in peft's layout (`adapter_config.json`, `adapter_model.safetensors`), checked as a whole.

Only what a low-rank product beside a linear map can express is taken; everything else is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.errors import AdapterError, CheckpointError
from ensemble.models import read_json

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_NAME = re.compile(r"^base_model\.model\.(?P<linear>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight$")
_REFUSED = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "layers_pattern")


@dataclass(frozen=True, slots=True)
class LowRank:
    """What is added to a linear map: up @ (down @ x)."""

    down: Tensor  # (rank, inputs)
    up: Tensor  # (outputs, rank), the adapter's scale included


@dataclass(frozen=True, slots=True)
class Adapter:
    """By name of the linear map, as `nn.Module.named_modules` has it; on the CPU."""

    rank: int
    products: Mapping[str, LowRank]


def read_adapter(directory: Path, shapes: Mapping[str, tuple[int, int]]) -> Adapter:
    """The adapter in `directory`, for linear maps of these (outputs, inputs); it may leave some of them alone.

    Raises:
        AdapterError: naming what is missing, damaged, of another model or beyond low-rank products.
    """
    rank, scale = _read_config(directory / CONFIG_FILE)
    products = {}
    for name, (down, up) in sorted(_read_pairs(directory / WEIGHTS_FILE).items()):
        if name not in shapes:
            raise AdapterError(directory, f"adapts {name}, which is not among this model's adaptable maps")
        outputs, inputs = shapes[name]
        if down.shape != (rank, inputs) or up.shape != (outputs, rank):
            raise AdapterError(
                directory,
                f"has {tuple(down.shape)} and {tuple(up.shape)} for {name}, which needs rank {rank} and "
                f"{(outputs, inputs)}: it belongs to another model",
            )
        if not (down.isfinite().all() and up.isfinite().all()):
            raise AdapterError(directory, f"holds values for {name} that are no numbers: train it again")
        products[name] = LowRank(down.float(), up.float() * scale)
    return Adapter(rank, products)


def _read_config(path: Path) -> tuple[int, float]:
    """Rank and scale."""
    if not path.is_file():
        raise AdapterError(path, "is missing: this is no adapter in peft's layout")
    try:
        config = read_json(path)
    except CheckpointError as error:
        raise AdapterError(path, "cannot be read as a JSON object: restore the file") from error
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or not isinstance(rank, int) or not _is_scale(alpha):
        raise AdapterError(path, "describes no LoRA adapter: peft_type, r and lora_alpha are needed")
    used = [name for name in _REFUSED if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    if rank < 1 or used:
        raise AdapterError(path, f"is not supported with {', '.join(used) or f'rank {rank}'}")
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _is_scale(alpha: object) -> TypeGuard[float]:
    return isinstance(alpha, int | float) and not isinstance(alpha, bool) and math.isfinite(alpha)


def _read_pairs(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Down and up by name of the linear map."""
    if not path.is_file():
        raise AdapterError(path, "is missing: restore the file")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise AdapterError(path, f"is torn or not a safetensors file ({error}): restore it") from error
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _NAME.match(name)
        if match is None or not tensor.dtype.is_floating_point or tensor.dtype.itemsize < torch.bfloat16.itemsize:
            raise AdapterError(path, f"holds {name}, which is no half of a low-rank product")
        sides.setdefault(match["linear"], {})[match["side"]] = tensor
    halves = [name for name, both in sides.items() if len(both) < 2]
    if halves or not sides:
        raise AdapterError(path, f"holds only half of {halves[0]}" if halves else "holds nothing")
    return {name: (both["A"], both["B"]) for name, both in sides.items()}
