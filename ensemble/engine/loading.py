"""Loads a checkpoint directory into the right transformers class; nothing falls back silently."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from packaging.version import Version
from transformers import Mamba2ForCausalLM, MistralForCausalLM, PreTrainedModel

from core.errors import CheckpointError, ConfigurationError
from core.messages import ModelName
from core.options import Device, Weights
from ensemble.engine.checkpoint import validate_checkpoint
from ensemble.engine.kernels import require_mamba2_kernels
from ensemble.models import CONFIG_FILE

OLDEST_TRANSFORMERS = Version("5.23.0")  # the first whose Mamba2 gated norm groups by n_groups in generation
_CLASSES: dict[ModelName, type[PreTrainedModel]] = {
    ModelName.MATHSTRAL: MistralForCausalLM,
    ModelName.CODESTRAL: Mamba2ForCausalLM,
}
# Mamba2 checkpoints come as `model.`, `backbone.` and `model.backbone.`, with `embedding.` and `embeddings.`.
_RENAMINGS = {
    ModelName.MATHSTRAL: None,
    ModelName.CODESTRAL: {
        r"^(?:model\.)?(?:backbone\.)?(?=(?:layers|embeddings?|norm_f)\.)": "backbone.",
        r"^backbone\.embedding\.": "backbone.embeddings.",
    },
}
_DTYPES = {Weights.FP32: torch.float32, Weights.BF16: torch.bfloat16, Weights.NF4: torch.bfloat16}


def require_device(model: ModelName, device: Device, weights: Weights) -> None:
    """Check that this installation can run `model` as asked, before anything is downloaded or loaded.

    Raises:
        ConfigurationError: old transformers, no CUDA, or 4-bit weights on the CPU.
        KernelsMissing: Mamba2 on CUDA without its compiled kernels.
    """
    require_transformers(transformers.__version__)
    if device is Device.CPU and weights is Weights.NF4:
        raise ConfigurationError(
            "nf4 weights need CUDA: set MATHCODE_WEIGHTS to fp32 or bf16, or MATHCODE_DEVICE=cuda"
        )
    if device is Device.CUDA and not torch.cuda.is_available():
        raise ConfigurationError(
            "MATHCODE_DEVICE is cuda (the default of profile full), but torch finds no CUDA device: "
            "install a CUDA build of torch and its driver, or set MATHCODE_DEVICE=cpu"
        )
    if device is Device.CUDA and model is ModelName.CODESTRAL:
        require_mamba2_kernels()


def require_transformers(version: str) -> None:
    """Refuse a transformers that gives wrong text. Raises ConfigurationError."""
    if Version(version) < OLDEST_TRANSFORMERS:
        raise ConfigurationError(
            f"transformers {version} computes Mamba2 wrongly: install {OLDEST_TRANSFORMERS} or newer"
        )


def load_network(model: ModelName, directory: Path, *, device: Device, weights: Weights) -> PreTrainedModel:
    """The network of a whole checkpoint, in evaluation mode on `device`.

    Raises:
        CheckpointError: the directory is incomplete, damaged or of another architecture.
    """
    validate_checkpoint(model, directory)
    if device is Device.CPU:
        # There the stand-ins for CUDA kernels are the right choice, not worth a warning each.
        logging.getLogger("transformers.integrations.hub_kernels").setLevel(logging.ERROR)
    network, report = _read(model, directory, dtype=_DTYPES[weights], **_placement(device, weights))
    _require_complete(directory, report)
    return network


def _read(model: ModelName, directory: Path, **options: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The network, and what transformers reports of weights that it missed or did not know."""
    load: Any = _CLASSES[model].from_pretrained
    try:
        loaded: tuple[PreTrainedModel, dict[str, Any]] = load(
            directory,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            key_mapping=_RENAMINGS[model],
            **options,
        )
    except torch.OutOfMemoryError:
        raise
    except (ValueError, StrictDataclassError) as error:
        raise CheckpointError(directory / CONFIG_FILE, f"is refused by transformers: {error}") from error
    except RuntimeError as error:  # shapes that do not match
        raise CheckpointError(directory, f"does not fit its own config.json: {error}") from error
    return loaded


def _placement(device: Device, weights: Weights) -> dict[str, Any]:
    placement: dict[str, Any] = {"device_map": {"": 0}} if device is Device.CUDA else {}
    if weights is Weights.NF4:
        configure: Any = transformers.BitsAndBytesConfig
        placement["quantization_config"] = configure(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=["lm_head"],  # replaces the default list, so it must be named
        )
    return placement


def _require_complete(directory: Path, report: dict[str, Any]) -> None:
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in report.get(kind) or ())
        if names:
            what = kind.removesuffix("_keys")
            raise CheckpointError(directory, f"has {len(names)} {what} weights, {names[0]} among them: restore it")
