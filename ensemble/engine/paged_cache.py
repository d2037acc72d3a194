"""Room for keys and values: pages of a few dozen tokens, lent to sequences from `open` to `close`.

A sequence gets all the pages it can ever need before it starts, so it never runs out in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch
from torch import Tensor
from transformers import PreTrainedConfig

PAGE_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheShape:
    """What one token leaves behind, and how tokens are counted out."""

    layers: int
    heads: int
    head_dim: int
    page_tokens: int = PAGE_TOKENS

    @classmethod
    def of(cls, config: PreTrainedConfig, *, page_tokens: int = PAGE_TOKENS) -> CacheShape:
        return cls(
            layers=config.num_hidden_layers,
            heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            page_tokens=page_tokens,
        )

    def page_bytes(self, dtype: torch.dtype) -> int:
        """Memory of one page: keys and values of all layers."""
        return 2 * self.layers * self.heads * self.head_dim * self.page_tokens * dtype.itemsize

    def pages_for(self, tokens: int) -> int:
        return -(-tokens // self.page_tokens)

    def pages_that_fit(self, fraction: float, *, dtype: torch.dtype, device: torch.device) -> int:
        """How many pages take `fraction` of the memory that is free on `device` now."""
        on_cuda = device.type == "cuda"
        free = torch.cuda.mem_get_info(device)[0] if on_cuda else psutil.virtual_memory().available
        return int(free * fraction) // self.page_bytes(dtype)


class PagedCache:
    """The pages themselves, and which of them each slot holds.

    `keys` and `values` have one pool per layer, of shape (pages, heads, page tokens, head dim). `table` (slots,
    pages of a whole context), int32, lies on the device too: page p of slot s is row `table[s, p]` of every pool.
    """

    def __init__(
        self,
        shape: CacheShape,
        *,
        slots: int,
        pages: int,
        context_tokens: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        pool = (pages, shape.heads, shape.page_tokens, shape.head_dim)
        self.shape = shape
        self.keys = [torch.zeros(pool, dtype=dtype, device=device) for _ in range(shape.layers)]
        self.values = [torch.zeros(pool, dtype=dtype, device=device) for _ in range(shape.layers)]
        self.table = torch.zeros((slots, shape.pages_for(context_tokens)), dtype=torch.int32, device=device)
        self._pages, self._page_bytes = pages, shape.page_bytes(dtype)
        self._free = list(range(pages))
        self._held: dict[int, list[int]] = {}

    @property
    def memory_bytes(self) -> int:
        """Of all pages."""
        return self._pages * self._page_bytes

    @property
    def memory_used_bytes(self) -> int:
        """Of the pages lent out."""
        return (self._pages - len(self._free)) * self._page_bytes

    @torch.inference_mode()
    def open(self, slot: int, tokens: int) -> bool:
        """Lend `slot` pages for `tokens` tokens; false if too few are free."""
        count = self.shape.pages_for(tokens)
        if slot in self._held:
            raise ValueError(f"slot {slot} is open already")
        if count > self.table.shape[1]:
            raise ValueError(f"{tokens} tokens are more than a context of {self.table.shape[1]} pages holds")
        if count > len(self._free):
            return False
        self._held[slot] = [self._free.pop() for _ in range(count)]
        row = torch.tensor(self._held[slot], dtype=torch.int32)
        self.table[slot, :count].copy_(row, non_blocking=True)  # from pageable memory: `row` is free at once
        return True

    def close(self, slot: int) -> None:
        """Take the pages of `slot` back."""
        self._free.extend(self._held.pop(slot))

    def places(self, slots: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Pool row and offset in the page of each of n tokens."""
        size = self.shape.page_tokens
        return self.table[slots, positions // size].long(), positions % size

    def write(self, layer: int, keys: Tensor, values: Tensor, places: tuple[Tensor, Tensor]) -> None:
        """Store keys and values of n tokens, each (n, heads, head dim)."""
        rows, offsets = places
        self.keys[layer][rows, :, offsets] = keys
        self.values[layer][rows, :, offsets] = values

    def read(self, layer: int, places: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values of n tokens, each (n, heads, head dim)."""
        rows, offsets = places
        return self.keys[layer][rows, :, offsets], self.values[layer][rows, :, offsets]

    def read_pages(self, layer: int, slots: Tensor, *, tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values on the first pages of n slots, for at least `tokens`: (n, heads, tokens, head dim)."""
        rows = self.table[slots, : self.shape.pages_for(tokens)]  # (n, pages)
        keys, values = (pools[layer][rows].transpose(1, 2).flatten(2, 3) for pools in (self.keys, self.values))
        return keys, values
