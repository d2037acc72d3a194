"""The code model made ready for training: a frozen base, fp32 adapters on it, packed rows, no whole logits."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from core.errors import AdapterError
from core.training import TrainingOptions
from ensemble.engine.adapter import CONFIG_FILE, WEIGHTS_FILE, read_adapter
from training.low_rank import lighten
from training.packed_mixer import pack_mixers
from training.stream_norm import lighten_blocks
from training.token_loss import summed_loss


def make_ready(network: PreTrainedModel) -> None:
    """Freeze `network` and have it read packed rows."""
    network.requires_grad_(False)
    pack_mixers(network)
    lighten_blocks(network)


def adapt(network: PreTrainedModel, options: TrainingOptions) -> PeftModel:
    """A fresh adapter on a ready `network`, fp32 and drawn from the seed: it changes nothing yet."""
    config = LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        return _adapted(network, config)


def adapt_as(network: PreTrainedModel, directory: Path) -> PeftModel:
    """A ready `network` with the adapter in `directory`. Raises AdapterError."""
    adapted = _adapted(network, _read_config(directory))
    load_weights(adapted, directory)
    return adapted


def save_adapter(adapted: nn.Module, directory: Path) -> None:
    """Write the adapter in peft's layout; `directory` exists."""
    weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    save_file({name: each.detach().cpu().contiguous() for name, each in weights.items()}, directory / WEIGHTS_FILE)
    config: Any = adapted.peft_config["default"]  # type: ignore[index]
    described = {**config.to_dict(), "inference_mode": True}
    described["target_modules"] = sorted(described["target_modules"])
    (directory / CONFIG_FILE).write_text(json.dumps(described, indent=1, default=str), encoding="utf-8")


def load_weights(adapted: nn.Module, directory: Path) -> None:
    """Take over the weights in `directory`, as exact as they are. Raises AdapterError where they do not fit."""
    base: Any = adapted.get_base_model()  # type: ignore[operator]
    read_adapter(directory, _shapes(base))
    weights = load_file(directory / WEIGHTS_FILE)
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    if {name: each.shape for name, each in own.items()} != {name: each.shape for name, each in weights.items()}:
        raise AdapterError(
            directory,
            "has another rank or other targets than this training: "
            "set MATHCODE_LORA_R and MATHCODE_LORA_TARGETS as they were, or train from the base",
        )
    set_peft_model_state_dict(adapted, weights)


def warm_start(adapted: nn.Module, directory: Path, options: TrainingOptions) -> None:
    """Begin with the adapter in `directory`. Raises AdapterError where its rank, targets or scale are others."""
    config = _read_config(directory)
    found = (config.r, float(config.lora_alpha), set(config.target_modules or ()), config.use_rslora)
    wanted = (options.lora_rank, options.lora_alpha, set(options.lora_targets), False)
    if found != wanted:
        raise AdapterError(
            directory,
            f"has rank {config.r}, alpha {config.lora_alpha} and targets {', '.join(sorted(found[2]))}, "
            f"this training {options.lora_rank}, {options.lora_alpha} and {', '.join(options.lora_targets)}: "
            "set MATHCODE_LORA_R, _ALPHA and _TARGETS as they were, or train from the base",
        )
    load_weights(adapted, directory)


def checkpoint_gradients(network: PreTrainedModel, *, kept_blocks: int = 0) -> None:
    """Compute activations of all blocks but the last `kept_blocks` again in backward rather than keep them."""
    blocks: Any = network.get_submodule("backbone.layers")
    for number, block in enumerate(blocks):
        block.gradient_checkpointing = block.mixer.is_computed_again = number < len(blocks) - kept_blocks
        block._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def packed_loss(adapted: nn.Module, tokens: Tensor, segments: Tensor, targets: Tensor) -> Tensor:
    """Summed cross-entropy of packed rows, in nats, fp32.

    Shapes: (rows, tokens), all of them; `segments` int32. The backbone is called itself, since the causal model
    around it would drop the segments.
    """
    network: Any = adapted.get_base_model() if isinstance(adapted, PeftModel) else adapted
    hidden = network.backbone(input_ids=tokens, seq_idx=segments, use_cache=False)[0]
    return summed_loss(hidden, network.lm_head.weight, targets)


@contextmanager
def out_proj_allowed() -> Iterator[None]:
    """Suspend peft's refusal of `out_proj` in Mamba models; `PackedMixer` removes the reason for it."""
    name = "_check_target_module_compatiblity"
    refusing = getattr(LoraModel, name)
    setattr(LoraModel, name, lambda *_: None)
    try:
        yield
    finally:
        setattr(LoraModel, name, refusing)


def _adapted(network: PreTrainedModel, config: LoraConfig) -> PeftModel:
    with out_proj_allowed(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)  # peft's
        adapted = get_peft_model(network, config, autocast_adapter_dtype=True)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    lighten(adapted)
    return adapted


def _read_config(directory: Path) -> LoraConfig:
    try:
        found = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
        names = ("r", "lora_alpha", "target_modules", "use_rslora")
        return LoraConfig(bias="none", **{name: found[name] for name in names if name in found})
    except (OSError, ValueError, TypeError) as error:
        raise AdapterError(directory / CONFIG_FILE, f"cannot be read ({error}): restore the file") from error


def _shapes(base: nn.Module) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of every mixer's linear maps, adapted or not."""
    shapes = {}
    for name, module in base.named_modules():
        if name.endswith((".in_proj", ".out_proj")):
            linear: Any = getattr(module, "base_layer", module)
            shapes[name] = (linear.out_features, linear.in_features)
    return shapes
