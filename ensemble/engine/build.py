"""From a model's name to its running engine: the one place that puts the parts together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from core.errors import CheckpointError, ConfigurationError
from core.messages import ModelName
from core.options import Device
from core.settings import Settings
from ensemble.engine.batch_runner import Row
from ensemble.engine.batching import build_runner
from ensemble.engine.engine import ModelEngine
from ensemble.engine.loading import load_network, require_device
from ensemble.engine.locate import checkpoint_directory
from ensemble.engine.runner import OutOfMemory
from ensemble.engine.sequence import PIECE_INTERVAL_S
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer
from ensemble.models import CONFIG_FILE, describe_model, positions_of

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


def _require_same_vocabulary(network: PreTrainedModel, tokenizer: Tokenizer, directory: Path) -> None:
    size = network.config.vocab_size
    if size != tokenizer.vocabulary_size:
        raise CheckpointError(
            directory / CONFIG_FILE,
            f"says vocab_size {size}, but the tokenizer beside it has {tokenizer.vocabulary_size} tokens",
        )
