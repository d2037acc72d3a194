"""Networks over one transformers module, whose weights go to the host's memory when the device's is wanted."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from core.errors import AdapterError
from ensemble.engine.adapter import Adapter, read_adapter
from ensemble.engine.network import NetworkSource, SlotNetwork


class ModuleSource(NetworkSource):
    """`build` makes a network of the module; `adaptable` are its linear maps that adapters may change, by name."""

    def __init__(
        self,
        module: PreTrainedModel,
        build: Callable[[PreTrainedModel], SlotNetwork],
        *,
        adaptable: Mapping[str, nn.Linear] | None = None,
    ) -> None:
        self._module = module
        self._build = build
        self._device: torch.device = module.device
        self._shapes = {
            name: (linear.out_features, linear.in_features) for name, linear in (adaptable or {}).items()
        }

    def bring(self) -> SlotNetwork:
        self._move(self._device)
        return self._build(self._module)

    def put_away(self) -> None:
        self._move(torch.device("cpu"))
        gc.collect()  # graphs and the tensors they hold refer to each other
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def load_adapter(self, directory: Path) -> Adapter:
        if not self._shapes:
            raise AdapterError(directory, "cannot be used: this model is frozen and takes no adapters")
        return read_adapter(directory, self._shapes)

    def _move(self, device: torch.device) -> None:
        # Not the module's own `to`, which accelerate replaces and transformers refuses for some 4-bit models.
        nn.Module.to(self._module, device)
