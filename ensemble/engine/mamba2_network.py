"""Mamba2 over slots of recurrent state: in-place updates, prompts scanned in blocks, decoding in CUDA graphs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ensemble.engine.mamba2_layer import Mamba2Kernels, Norm, Rows, forward_next, forward_prompts, read_layer
from ensemble.engine.mamba2_memory import allocate, read_shape
from ensemble.engine.mamba2_torch import TorchKernels
from ensemble.engine.network import Chunk
from ensemble.engine.packing import Packing, pack
from ensemble.engine.step_graphs import StepGraphs

_LONGEST_BLOCK = 32  # of the scan; longer ones spend more on scores within a block than they save


class Mamba2Network:
    """A `SlotNetwork` over the weights of a `Mamba2ForCausalLM`.

    Prompts must be cut at absolute multiples of `chunk_multiple`: there the state is rounded to `state_dtype` however
    a prompt is cut, so its text does not depend on the cuts. A slot is decoded once its prompt has been read to the
    end, and no prompt follows that. The chunk that starts at 0 makes the slot new, so `open` has nothing to clear.
    """

    def __init__(
        self, module: PreTrainedModel, *, slots: int, state_dtype: torch.dtype = torch.bfloat16
    ) -> None:
        backbone, shape = module.backbone, read_shape(module.config)
        self.device = module.device
        self.slots = slots
        self.chunk_multiple = min(module.config.chunk_size, _LONGEST_BLOCK)
        self._width = shape.width
        self._embed, self._head = backbone.embeddings, module.lm_head
        self._residual_dtype = torch.float32 if module.config.residual_in_fp32 else module.dtype
        self._layers = [read_layer(block, shape) for block in backbone.layers]
        self._norm = Norm(backbone.norm_f.weight.detach(), backbone.norm_f.variance_epsilon, module.config.hidden_size)
        self._memories = allocate(module, slots=slots, state_dtype=state_dtype)
        self._kernels = choose_kernels(self.device)
        on_cuda = self.device.type == "cuda"
        self._graphs = StepGraphs(self._step, slots=slots, device=self.device) if on_cuda else None

    def open(self, slot: int, tokens: int) -> bool:
        """Always true: a sequence takes the same memory however long it gets."""
        return True

    def close(self, slot: int) -> None:
        """Nothing to do: the next sequence of the slot begins from nothing."""

    def prefill(self, chunks: Sequence[Chunk]) -> Tensor:
        """Read chunks of different slots; logits (chunks, vocabulary) in fp32 after each one's last token."""
        packing = pack(chunks, block=self.chunk_multiple, width=self._width, device=self.device)
        self._memories[0].absorbed[packing.slots] = packing.ends
        return self._read(packing)

    def decode(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        """One token further in each slot; logits (n, vocabulary) in fp32, overwritten by the next call."""
        if self._graphs is None:
            return self._step(slots, tokens, positions)
        return self._graphs.replay(slots, tokens, positions)

    def warm_up(self) -> None:
        """Compile what a prompt needs and capture all graphs; leaves nothing in any slot that a sequence could see."""
        self.prefill([Chunk(slot=0, start=0, tokens=[1] * (self.chunk_multiple + 1))])
        if self._graphs is not None:
            self._graphs.capture()

    def _read(self, packing: Packing) -> Tensor:
        hidden, update = self._embedded(packing.tokens), None
        for layer, memory in zip(self._layers, self._memories, strict=True):
            update = forward_prompts(
                self._kernels, layer, memory, packing=packing, hidden=hidden, update=update
            )
        return self._logits(hidden[packing.lasts], None if update is None else update[packing.lasts])

    def _step(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
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


def choose_kernels(device: torch.device) -> Mamba2Kernels:
    """Compiled kernels on CUDA, plain torch elsewhere."""
    if device.type != "cuda":
        return TorchKernels()
    from ensemble.engine.mamba2_cuda import CudaKernels  # needs triton, which CPU builds of torch lack

    return CudaKernels()
