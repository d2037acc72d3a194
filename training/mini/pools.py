"""Rows on the device, by width; each batch draws from them, and new ones take the place of the oldest."""

from __future__ import annotations

import torch
from torch import Tensor

from training.mini.stream import SOURCE_WEIGHT, WIDTHS, Rows

POOL_BYTES = {"cuda": 3 << 30, "cpu": 64 << 20}
SOURCE_SHARE = 0.15
"""Of the tokens of all batches, where there is plain source."""

Batch = tuple[Tensor, Tensor, Tensor]  # tokens (rows, width) int64, is_counted (rows, width - 1), weights (rows,)


class Pool:
    """Rows of one width."""

    def __init__(self, width: int, capacity: int, device: torch.device) -> None:
        self.width, self.filled, self.counted = width, 0, 0
        self._next, self._capacity = 0, capacity
        self._tokens = torch.empty((capacity, width), dtype=torch.int16, device=device)
        self._about = torch.empty((capacity, 2), dtype=torch.int16, device=device)
        self._weights = torch.empty(capacity, device=device)

    def put(self, rows: Rows) -> None:
        count = min(len(rows.tokens), self._capacity)
        device = self._tokens.device
        at = (torch.arange(count, device=device) + self._next) % self._capacity
        self._tokens[at] = torch.from_numpy(rows.tokens[:count]).to(device)
        about = torch.stack([torch.from_numpy(rows.begins[:count]), torch.from_numpy(rows.ends[:count])], dim=1)
        self._about[at] = about.to(device)
        self._weights[at] = torch.from_numpy(rows.weights[:count]).to(device)
        self._next = (self._next + count) % self._capacity
        self.filled = min(self._capacity, self.filled + count)
        self.counted += int(rows.ends.sum(dtype="int64"))

    def draw(self, count: int) -> Batch:
        device = self._tokens.device
        at = torch.randint(self.filled, (count,), device=device)
        tokens, about = self._tokens[at].long(), self._about[at].long()
        places = torch.arange(1, self.width, device=device)  # of what is predicted
        is_counted = (places >= about[:, :1]) & (places < about[:, 1:])
        return tokens, is_counted, self._weights[at]


class Pools:
    """The pools of all widths; plain source has one of its own."""

    def __init__(self, device: torch.device) -> None:
        each = POOL_BYTES[device.type] // (len(WIDTHS) + 1)
        self._pools = {width: Pool(width, each // (2 * width), device) for width in WIDTHS}
        self._source: Pool | None = None
        self._each, self._device = each, device

    def put(self, rows: Rows) -> None:
        if rows.weights[0] == SOURCE_WEIGHT:
            if self._source is None:
                self._source = Pool(rows.width, self._each // (2 * rows.width), self._device)
            self._source.put(rows)
        else:
            self._pools[rows.width].put(rows)

    @property
    def tokens(self) -> int:
        """That were ever put, without padding."""
        return sum(pool.counted for pool in self._pools.values()) + (self._source.counted if self._source else 0)

    def draw(self, tokens: int) -> Batch:
        """About `tokens` of one width, chosen by how much there is of each."""
        if self._source is not None and float(torch.rand(())) < SOURCE_SHARE:
            return self._source.draw(max(1, tokens // self._source.width))
        filled = [pool for pool in self._pools.values() if pool.filled]
        share = torch.tensor([float(pool.counted) for pool in filled])
        pool = filled[int(torch.multinomial(share, 1))]
        return pool.draw(max(1, tokens // pool.width))
