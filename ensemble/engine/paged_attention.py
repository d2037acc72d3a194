"""Attention over paged keys and values: what it does, and its plain torch form that runs everywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ensemble.engine.paged_cache import PagedCache
from ensemble.engine.prompts import Prompts
from ensemble.engine.rotary import Rotary


class PagedAttention(Protocol):
    """Turns projections of n tokens, `qkv` (n, (heads + 2 * key heads) * head dim), into (n, heads * head dim).

    On the way it rotates queries and keys, and writes keys and values to the cache. May overwrite `qkv`.
    """

    def attend_next(self, layer: int, qkv: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        """One more token in each of n slots."""

    def attend_chunks(self, layer: int, qkv: Tensor, prompts: Prompts) -> Tensor:
        """The tokens of chunks, each over its own sequence up to itself."""


class TorchAttention(PagedAttention):
    """Gathers pages into one tensor, and leaves the rest to torch."""

    def __init__(self, cache: PagedCache, rotary: Rotary, *, heads: int) -> None:
        self._cache = cache
        self._rotary = rotary
        self._counts = (heads, cache.shape.heads, cache.shape.heads)

    def attend_next(self, layer: int, qkv: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        places = self._cache.places(slots, positions)
        queries = self._take_in(layer, qkv, positions, places)[0]
        keys, values = self._cache.read_pages(layer, slots, tokens=int(positions.max()) + 1)
        live = torch.arange(keys.shape[2], device=qkv.device) <= positions[:, None]  # (n, tokens)
        # What is masked away has weight zero, but zero times the NaN of an earlier user would be NaN.
        for part in (keys, values):
            part.masked_fill_(~live[:, None, :, None], 0.0)
        attended = functional.scaled_dot_product_attention(
            queries[:, :, None], keys, values, attn_mask=live[:, None, None], enable_gqa=True
        )
        return attended.reshape(qkv.shape[0], -1)

    def attend_chunks(self, layer: int, qkv: Tensor, prompts: Prompts) -> Tensor:
        own, history = prompts.own, prompts.history
        places = self._cache.places(own.slots, own.positions)
        queries, keys, values = self._take_in(layer, qkv, own.positions, places)
        if not prompts.is_fresh:
            keys, values = self._cache.read(layer, self._cache.places(history.slots, history.positions))
        return _attend_each(queries, keys, values, prompts).reshape(qkv.shape[0], -1)

    def _take_in(
        self, layer: int, qkv: Tensor, positions: Tensor, places: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (n, its heads, head dim); the latter two are also written."""
        queries, keys, values = torch.split(qkv.view(len(qkv), sum(self._counts), -1), list(self._counts), dim=1)
        queries, keys = self._rotary.rotate(queries, positions), self._rotary.rotate(keys, positions)
        self._cache.write(layer, keys, values, places)
        return queries, keys, values


def _attend_each(queries: Tensor, keys: Tensor, values: Tensor, prompts: Prompts) -> Tensor:
    """Each chunk over its history, one after another; all (tokens, heads, head dim)."""
    out = torch.empty_like(queries)
    spans = zip(pairwise(prompts.own.bounds), pairwise(prompts.history.bounds), strict=True)
    for (begin, end), (first, last) in spans:
        seen = torch.ones((end - begin, last - first), dtype=torch.bool, device=queries.device)
        out[begin:end] = functional.scaled_dot_product_attention(
            queries[begin:end].transpose(0, 1),
            keys[first:last].transpose(0, 1),
            values[first:last].transpose(0, 1),
            attn_mask=seen.tril((last - first) - (end - begin)),
            enable_gqa=True,
        ).transpose(0, 1)
    return out
