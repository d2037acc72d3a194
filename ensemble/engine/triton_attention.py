"""Attention over paged keys and values with kernels. Import this module on CUDA only."""

from __future__ import annotations

import math

import torch
import triton
from torch import Tensor

from ensemble.engine import paged_attention_kernels as kernels
from ensemble.engine.paged_attention import PagedAttention
from ensemble.engine.paged_cache import PagedCache
from ensemble.engine.prompts import Prompts
from ensemble.engine.rotary import Rotary

_PROGRAMS = 512  # about four for each multiprocessor of a large GPU
_MOST_SPLITS = 32


class TritonAttention(PagedAttention):
    """Decodes with a kernel of ours that reads live tokens only, and reads prompts with torch's flash attention.

    Decoding never waits for the device and depends on lengths on the device alone: a CUDA graph can hold it.
    """

    def __init__(self, cache: PagedCache, rotary: Rotary, *, heads: int) -> None:
        shape = cache.shape
        self._cache = cache
        self._angles = rotary.cos, rotary.sin
        self._counts = (heads, shape.heads, shape.heads)
        self._scale = math.log2(math.e) / math.sqrt(shape.head_dim)
        self._constants = {
            "KV_HEADS": shape.heads,
            "GROUP": heads // shape.heads,
            "HALF": shape.head_dim // 2,
            "PAGE": shape.page_tokens,
        }

    def attend_next(self, layer: int, qkv: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        (heads, key_heads, _), shape, rows = self._counts, self._cache.shape, len(qkv)
        splits = _splits(rows * key_heads)
        out = qkv.new_empty((rows, heads * shape.head_dim))
        parts = qkv.new_empty((rows, heads, splits, shape.head_dim), dtype=torch.float32) if splits > 1 else out
        sums = qkv.new_empty((rows, heads, splits), dtype=torch.float32)
        kernels.attend_next[(rows, key_heads, splits)](
            qkv, parts, sums, *self._places(layer, slots, positions), self._scale, **self._constants, SPLITS=splits
        )
        if splits > 1:
            kernels.combine[(rows, heads)](
                out, parts, sums, slots, positions, DIM=shape.head_dim, PAGE=shape.page_tokens, SPLITS=splits
            )
        return out

    def attend_chunks(self, layer: int, qkv: Tensor, prompts: Prompts) -> Tensor:
        own, history = prompts.own, prompts.history
        kernels.rotate_and_store[(len(qkv),)](
            qkv,
            *self._places(layer, own.slots, own.positions),
            **self._constants,
            BLOCK=triton.next_power_of_2(self._counts[1]),
        )
        queries, keys, values = torch.split(qkv.view(len(qkv), sum(self._counts), -1), list(self._counts), dim=1)
        if not prompts.is_fresh:
            keys, values = self._cache.read(layer, self._cache.places(history.slots, history.positions))
        return _attend_packed(queries, keys, values, prompts).reshape(len(qkv), -1)

    def _places(self, layer: int, slots: Tensor, positions: Tensor) -> tuple[object, ...]:
        cache = self._cache
        pools = cache.keys[layer], cache.values[layer]
        return pools, cache.table, cache.table.shape[1], slots, positions, self._angles


def suits(cache: PagedCache, *, heads: int) -> bool:
    """Whether the kernels take these shapes; otherwise `TorchAttention` does."""
    shape = cache.shape
    return (
        cache.keys[0].dtype in {torch.bfloat16, torch.float16}
        and shape.head_dim >= 32
        and shape.head_dim.bit_count() == 1
        and shape.page_tokens >= kernels.TILE.value
        and shape.page_tokens.bit_count() == 1
        and heads <= kernels.TILE.value * shape.heads
    )


def _splits(programs: int) -> int:
    """Into how many pieces to cut histories so that the device has work: a power of two."""
    return min(_MOST_SPLITS, 1 << max(0, (_PROGRAMS // programs).bit_length() - 1))


def _attend_packed(queries: Tensor, keys: Tensor, values: Tensor, prompts: Prompts) -> Tensor:
    """All chunks in one kernel; its causal mask ends at the last token of both chunk and history."""
    own, history = prompts.own, prompts.history
    attended: Tensor = torch.ops.aten._flash_attention_forward(
        queries,
        keys,
        values,
        own.device_bounds,
        history.device_bounds,
        own.longest,
        history.longest,
        0.0,  # dropout
        True,  # causal
        False,  # no debug mask
    )[0]
    return attended
