"""From a model's name to its running engine: the one place that puts the parts together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from core.errors import CheckpointError, ConfigurationError
from core.messages import ModelName
from core.options import Device
from core.settings import Settings
from ensemble.engine.batch_runner import Row
from ensemble.engine.batching import build_runner
from ensemble.engine.engine import ModelEngine
from ensemble.engine.hub import download_checkpoint
from ensemble.engine.loading import load_network, require_device
from ensemble.engine.runner import OutOfMemory
from ensemble.engine.sequence import PIECE_INTERVAL_S
from ensemble.engine.tiny import ensure_tiny_checkpoint
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer
from ensemble.models import CONFIG_FILE, ModelSpec, describe_model, positions_of
from ensemble.packed import unpack

SMALL_PARAMETERS = 100_000_000


def build_engine(
    model: ModelName, settings: Settings, *, piece_interval_s: float = PIECE_INTERVAL_S
) -> ModelEngine[Row]:
    """Make or fetch the checkpoint of `model`, load it, and start its engine.

    Raises:
        ConfigurationError: installation, memory or checkpoint cannot serve the model; the message says what to do.
    """
    require_device(model, settings.device, settings.weights)
    spec = describe_model(model, settings)
    directory = checkpoint_directory(spec, settings)
    network = load_network(model, directory, device=settings.device, weights=settings.weights)
    tokenizer = load_tokenizer(directory)
    _require_same_vocabulary(network, tokenizer, directory)
    if settings.device is Device.CPU and network.num_parameters() < SMALL_PARAMETERS:
        torch.set_num_threads(1)  # its operations are too small to share
    context_tokens = min(spec.context_tokens, positions_of(directory) or spec.context_tokens)
    try:
        runner, context_tokens = build_runner(model, network, settings, context_tokens=context_tokens)
        runner.warm_up()
    except (torch.OutOfMemoryError, OutOfMemory) as error:
        raise ConfigurationError(
            f"the device has too little memory to serve {model} with {settings.slots} slots: lower MATHCODE_SLOTS "
            "or MATHCODE_CACHE_FRACTION, or free some"
        ) from error
    return ModelEngine(
        spec=replace(spec, context_tokens=context_tokens),
        vocabulary=tokenizer,
        runner=runner,
        slots=settings.slots,
        default_max_tokens=settings.default_max_tokens,
        piece_interval_s=piece_interval_s,
    )


def checkpoint_directory(spec: ModelSpec, settings: Settings) -> Path:
    """The local directory of the checkpoint, made or downloaded first where needed."""
    if spec.hub_id is not None:
        return download_checkpoint(spec.hub_id, settings)
    if spec.directory is None:
        raise ConfigurationError("this profile has no checkpoint to load: set MATHCODE_PROFILE to mini or full")
    if spec.packed is not None:
        unpack(spec.packed, spec.directory)
    if spec.is_tiny:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        ensure_tiny_checkpoint(spec.model, spec.directory)
    return spec.directory


def _require_same_vocabulary(network: PreTrainedModel, tokenizer: Tokenizer, directory: Path) -> None:
    size = network.config.vocab_size
    if size != tokenizer.vocabulary_size:
        raise CheckpointError(
            directory / CONFIG_FILE,
            f"says vocab_size {size}, but the tokenizer beside it has {tokenizer.vocabulary_size} tokens",
        )
