"""Which slot network serves a loaded module, and how much memory it may take."""

from __future__ import annotations

from functools import partial

import torch
from transformers import PreTrainedModel

from core.errors import ConfigurationError
from core.messages import ModelName
from core.options import StateType
from core.settings import Settings
from ensemble.engine.mamba2_network import Mamba2Network, adaptable
from ensemble.engine.mistral_network import MistralNetwork
from ensemble.engine.module_source import ModuleSource
from ensemble.engine.paged_cache import CacheShape
from ensemble.engine.sleepable_runner import SleepableRunner

_STATE_TYPES = {StateType.BF16: torch.bfloat16, StateType.FP32: torch.float32}


def build_runner(
    model: ModelName, module: PreTrainedModel, settings: Settings, *, context_tokens: int
) -> tuple[SleepableRunner, int]:
    """A runner with `settings.slots` slots, and how many tokens one sequence may have at most.

    Raises ConfigurationError where memory does not hold a single short sequence.
    """
    slots = settings.slots
    if model is ModelName.CODESTRAL:
        state_dtype = _STATE_TYPES[settings.state_type]
        source = ModuleSource(
            module, partial(Mamba2Network, slots=slots, state_dtype=state_dtype), adaptable=adaptable(module)
        )
    else:
        pages, context_tokens = _pages(module, settings, context_tokens)
        source = ModuleSource(
            module, partial(MistralNetwork, slots=slots, pages=pages, context_tokens=context_tokens)
        )
    return SleepableRunner(source, prefill_tokens=settings.prefill_tokens), context_tokens


def _pages(module: PreTrainedModel, settings: Settings, context_tokens: int) -> tuple[int, int]:
    """Pages for every slot's whole context, or as many as fit; and the context that this leaves."""
    shape = CacheShape.of(module.config)
    wanted = settings.slots * shape.pages_for(context_tokens)
    fitting = shape.pages_that_fit(settings.cache_fraction, dtype=module.dtype, device=module.device)
    pages = min(wanted, fitting)
    if pages < 1:
        raise ConfigurationError(
            f"{settings.cache_fraction:.0%} of the free memory holds no keys and values: free some, or raise "
            "MATHCODE_CACHE_FRACTION"
        )
    return pages, min(context_tokens, pages * shape.page_tokens)
