"""Mamba2 over slots of recurrent state: in-place updates, prompts scanned in blocks, decoding in CUDA graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ensemble.engine.adapter import Adapter
from ensemble.engine.lora import AdapterBank
from ensemble.engine.mamba2_layer import (
    Layer,
    Linear,
    Mamba2Kernels,
    Rows,
    forward_next,
    forward_prompts,
    read_layer,
    read_norm,
)
from ensemble.engine.mamba2_memory import allocate, read_shape, slot_bytes
from ensemble.engine.mamba2_torch import TorchKernels
from ensemble.engine.network import Chunk, SlotNetwork
from ensemble.engine.packing import Packing, columns_of, joined, split
from ensemble.engine.prompt_graphs import PromptGraphs
from ensemble.engine.step_graphs import StepGraphs

ADAPTABLE = ("in_proj", "out_proj")
"""The linear maps of a mixer that adapters may change."""


class Mamba2Network(SlotNetwork):
    """A `SlotNetwork` over the weights of a `Mamba2ForCausalLM`.

    Prompts must be cut at absolute multiples of `chunk_multiple`: there the state is rounded to `state_dtype`
    however a prompt is cut, so its text does not depend on the cuts. A slot is decoded once its prompt has been
    read to the end, and no prompt follows that. The chunk that starts at 0 makes the slot new, so `open` has
    nothing to clear.
    """

    def __init__(self, module: PreTrainedModel, *, slots: int, state_dtype: torch.dtype = torch.bfloat16) -> None:
        backbone: Any = module.backbone
        shape = read_shape(module.config)
        self._device, self._slots = module.device, slots
        self._width, self._block = shape.width, shape.block
        self._embed: Linear = backbone.embeddings
        self._head = cast(Linear, module.lm_head)
        self._residual_dtype = torch.float32 if module.config.residual_in_fp32 else module.dtype
        self._layers = [read_layer(block, shape) for block in backbone.layers]
        self._norm = read_norm(backbone.norm_f)
        # One slot more, for what fills graphs up.
        self._bank = AdapterBank(adaptable(module), slots=slots + 1, dtype=module.dtype)
        self._memories = allocate(module, slots=slots + 1, state_dtype=state_dtype)
        self._slot_bytes = slot_bytes(module.config, dtype=module.dtype, state_dtype=state_dtype)
        self._open: set[int] = set()
        self._kernels = choose_kernels(self._device)
        self._step_graphs, self._prompt_graphs = self._make_graphs()

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def chunk_multiple(self) -> int:
        return self._block

    @property
    def memory_bytes(self) -> int:
        return (self._slots + 1) * self._slot_bytes

    @property
    def memory_used_bytes(self) -> int:
        return len(self._open) * self._slot_bytes

    @torch.inference_mode()
    def adopt(self, place: int, adapter: Adapter) -> None:
        """Graphs stay where the adapter's rank has room, and are captured again where it is the largest so far."""
        if not self._bank.holds(adapter.rank):
            self._grow(adapter.rank)
        self._bank.put(place, adapter)

    def open(self, slot: int, tokens: int, *, place: int | None = None) -> bool:
        """Always true: a sequence takes the same memory however long it gets."""
        self._bank.assign(slot, place)
        self._open.add(slot)
        return True

    def close(self, slot: int) -> None:
        """The next sequence of the slot begins from nothing, so nothing has to be cleared."""
        self._open.discard(slot)

    def prefill(self, chunks: Sequence[Chunk]) -> Tensor:
        """Read chunks of different slots; logits (chunks, vocabulary) in fp32 after each one's last token."""
        logits = None if self._prompt_graphs is None else self._prompt_graphs.replay(chunks)
        if logits is None:
            columns = columns_of(chunks, width=self._width)
            logits = self._read(split(joined(columns).to(self._device, non_blocking=True), columns))
        return logits

    def decode(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        """One token further in each slot; logits (n, vocabulary) in fp32, overwritten by the next call."""
        if self._step_graphs is None:
            return self._step(slots, tokens, positions)
        return self._step_graphs.replay(slots, tokens, positions)

    def warm_up(self) -> None:
        """Capture all graphs, which compiles all kernels; leaves no trace in any slot."""
        for graphs in (self._prompt_graphs, self._step_graphs):
            if graphs is not None:
                graphs.capture()

    def _grow(self, rank: int) -> None:
        """Make room for adapters of `rank`, or leave everything as it is."""
        former = self._bank, self._layers, self._step_graphs, self._prompt_graphs
        try:
            self._bank = self._bank.grown(rank)
            self._layers = [self._adapted(index, layer) for index, layer in enumerate(self._layers)]
            self._step_graphs, self._prompt_graphs = self._make_graphs()
            self.warm_up()
        except torch.OutOfMemoryError:
            self._bank, self._layers, self._step_graphs, self._prompt_graphs = former
            raise

    def _adapted(self, index: int, layer: Layer) -> Layer:
        in_proj, out_proj = (self._bank.adapted[f"{_mixer(index)}.{name}"] for name in ADAPTABLE)
        return replace(layer, in_proj=in_proj, out_proj=out_proj)

    def _make_graphs(self) -> tuple[StepGraphs | None, PromptGraphs | None]:
        if self._device.type != "cuda":
            return None, None
        pool, slots = torch.cuda.graph_pool_handle(), self._slots
        return (
            StepGraphs(self._step, slots=slots, device=self._device, pool=pool),
            PromptGraphs(self._read, width=self._width, spare=slots, device=self._device, pool=pool),
        )

    def _read(self, packing: Packing) -> Tensor:
        self._bank.choose(packing.slots[packing.rows])
        self._memories[0].absorbed[packing.slots] = packing.ends
        hidden, update = self._embedded(packing.tokens), None
        for layer, memory in zip(self._layers, self._memories, strict=True):
            update = forward_prompts(self._kernels, layer, memory, packing=packing, hidden=hidden, update=update)
        return self._logits(hidden[packing.lasts], None if update is None else update[packing.lasts])

    def _step(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        self._bank.choose(slots)
        rows = Rows(slots, positions)
        hidden, update = self._embedded(tokens), None
        for layer, memory in zip(self._layers, self._memories, strict=True):
            update = forward_next(self._kernels, layer, memory, rows=rows, hidden=hidden, update=update)
        return self._logits(hidden, update)

    def _embedded(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self._embed(tokens)
        return embedded.to(self._residual_dtype)

    def _logits(self, hidden: Tensor, update: Tensor | None) -> Tensor:
        return self._kernels.normed_linear(hidden, update, self._norm, self._head).float()


def adaptable(module: PreTrainedModel) -> Mapping[str, nn.Linear]:
    """The linear maps of a `Mamba2ForCausalLM` that adapters may change, by their names in it."""
    backbone: Any = module.backbone
    return {
        f"{_mixer(index)}.{name}": getattr(block.mixer, name)
        for index, block in enumerate(backbone.layers)
        for name in ADAPTABLE
    }


def _mixer(layer: int) -> str:
    return f"backbone.layers.{layer}.mixer"


def choose_kernels(device: torch.device) -> Mamba2Kernels:
    """Compiled kernels on CUDA, plain torch elsewhere."""
    if device.type != "cuda":
        return TorchKernels()
    from ensemble.engine.mamba2_cuda import CudaKernels  # needs triton, which CPU builds of torch lack

    return CudaKernels()
