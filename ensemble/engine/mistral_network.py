"""Mistral for many sequences at once: its own forward over the weights of the transformers module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from ensemble.engine.adapter import Adapter
from ensemble.engine.dense import project
from ensemble.engine.mistral_blocks import block_of, norm_of
from ensemble.engine.network import Chunk, SlotNetwork
from ensemble.engine.paged_attention import PagedAttention, TorchAttention
from ensemble.engine.paged_cache import PAGE_TOKENS, CacheShape, PagedCache
from ensemble.engine.prompts import Prompts
from ensemble.engine.rotary import Rotary
from ensemble.engine.step_graphs import StepGraphs

Attend = Callable[[int, Tensor], Tensor]  # layer and projections to what attention found


class MistralNetwork(SlotNetwork):
    """A Mistral transformer on a paged cache. It takes over `network`, which stays usable beside it.

    `pages` (of `page_tokens` tokens) are the memory of all sequences together; `CacheShape.pages_that_fit` counts
    what a device has room for. On CUDA, decoding replays one graph per size of batch.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        *,
        slots: int,
        pages: int,
        context_tokens: int,
        page_tokens: int = PAGE_TOKENS,
    ) -> None:
        model: Any = network.model
        head: Any = network.lm_head
        self._slots = slots
        self._device: torch.device = network.device
        self._embedding: Tensor = model.embed_tokens.weight.detach()
        self._blocks = [block_of(layer) for layer in model.layers]
        self._norm = norm_of(model.norm)
        self._head: Tensor = head.weight.detach()
        self._cache = PagedCache(
            CacheShape.of(network.config, page_tokens=page_tokens),
            slots=slots,
            pages=pages,
            context_tokens=context_tokens,
            dtype=self._embedding.dtype,
            device=self._device,
        )
        rotary = Rotary(network, context_tokens=context_tokens)
        self._attention, has_kernels = _attention(self._cache, rotary, network.config.num_attention_heads)
        self._graphs = self._make_graphs() if has_kernels else None

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def chunk_multiple(self) -> int:
        """Chunks may end anywhere."""
        return 1

    @property
    def memory_bytes(self) -> int:
        return self._cache.memory_bytes

    @property
    def memory_used_bytes(self) -> int:
        return self._cache.memory_used_bytes

    def adopt(self, place: int, adapter: Adapter) -> None:
        raise NotImplementedError("this model is frozen")

    def open(self, slot: int, tokens: int, *, place: int | None = None) -> bool:
        return self._cache.open(slot, tokens)

    def close(self, slot: int) -> None:
        self._cache.close(slot)

    def prefill(self, chunks: Sequence[Chunk]) -> Tensor:
        prompts = Prompts.of(chunks, self._device)
        hidden = self._forward(
            prompts.tokens, lambda layer, qkv: self._attention.attend_chunks(layer, qkv, prompts)
        )
        return self._logits(hidden[prompts.own.device_bounds[1:] - 1])

    def decode(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        step = self._advance if self._graphs is None else self._graphs.replay
        return step(slots, tokens, positions)

    def warm_up(self) -> None:
        """Compile kernels and record graphs; without CUDA there is nothing to do."""
        if self._graphs is not None:
            self._graphs.capture()

    def _make_graphs(self) -> StepGraphs:
        pool = torch.cuda.graph_pool_handle()
        return StepGraphs(self._advance, slots=self._slots, device=self._device, pool=pool)

    def _advance(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        attention = self._attention
        hidden = self._forward(tokens, lambda layer, qkv: attention.attend_next(layer, qkv, slots, positions))
        return self._logits(hidden)

    def _forward(self, tokens: Tensor, attend: Attend) -> Tensor:
        """The residual stream after the last layer, (n, hidden size)."""
        hidden = functional.embedding(tokens, self._embedding)
        for layer, block in enumerate(self._blocks):
            block.add_attention(hidden, attend(layer, block.project(hidden)))
            block.add_mlp(hidden)
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        return project(hidden, self._head, self._norm)


def _attention(cache: PagedCache, rotary: Rotary, heads: int) -> tuple[PagedAttention, bool]:
    """The faster attention that device and shapes allow, and whether a CUDA graph can hold it."""
    if cache.table.is_cuda:
        from ensemble.engine.triton_attention import TritonAttention, suits

        if suits(cache, heads=heads):
            return TritonAttention(cache, rotary, heads=heads), True
    return TorchAttention(cache, rotary, heads=heads), False
