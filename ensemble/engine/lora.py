"""A few LoRA adapters beside each other (Hu et al., 2021), each row of a batch answered with its own.

Their matrices lie in tensors that keep their addresses, so CUDA graphs go on when one adapter replaces another.
All adapters are multiplied with all rows and a mask picks each row's own: a little more to compute, nothing to
sort. A row without an adapter gets exactly what the linear map alone gives.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ensemble.engine.adapter import Adapter
from ensemble.engine.versions import PLACES

_LEAST_RANK = 16


class AdaptedLinear:
    """`base`, and room for adapters of up to `rank` beside it.

    `down` (PLACES * rank, inputs) and `up` (outputs, PLACES * rank) hold one adapter behind the other.
    """

    def __init__(self, base: nn.Linear, bank: AdapterBank, *, rank: int) -> None:
        self.base = base
        self._bank = bank
        self._rank = rank
        dtype, device = bank.dtype, bank.device
        self.down = torch.zeros(PLACES * rank, base.in_features, dtype=dtype, device=device)
        self.up = torch.zeros(base.out_features, PLACES * rank, dtype=dtype, device=device)

    @property
    def mask(self) -> Tensor:
        """Which columns count for each of the rows being computed, (n, PLACES * rank)."""
        return self._bank.mask

    def __call__(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x)
        return out.addmm_(functional.linear(x, self.down) * self.mask, self.up.T)

    def put(self, place: int, adapter: Adapter, name: str) -> None:
        """Copy its product for this map, which is called `name`, into `place`."""
        begin, product = place * self._rank, adapter.products.get(name)
        self.down[begin : begin + self._rank] = 0
        self.up[:, begin : begin + self._rank] = 0
        if product is not None:
            self.down[begin : begin + adapter.rank] = product.down.to(self.down)
            self.up[:, begin : begin + adapter.rank] = product.up.to(self.up)


class AdapterBank:
    """The adapters of one network: which lies in which place, and which slot is answered with which.

    It holds nothing beside `linears` until the first adapter comes. `mask` (n, PLACES * rank) is that of the rows
    being computed, as `choose` left it.
    """

    def __init__(self, linears: Mapping[str, nn.Linear], *, slots: int, dtype: torch.dtype) -> None:
        self._linears = linears
        self._rank = 0
        self._adapters: dict[int, Adapter] = {}
        self.dtype = dtype
        self.device = next(iter(linears.values())).weight.device
        self.adapted: dict[str, AdaptedLinear] = {}
        self._places = torch.full((slots,), PLACES, dtype=torch.int64, device=self.device)
        self._masks = self._masks_of(0)
        self.mask = self._masks

    def holds(self, rank: int) -> bool:
        """Whether an adapter of `rank` has room."""
        return rank <= self._rank

    def grown(self, rank: int) -> AdapterBank:
        """A bank with room for adapters of `rank`, in new tensors, that holds what this one does.

        Which slot is answered with which place is one and the same in both. Raises torch.OutOfMemoryError.
        """
        bank = copy.copy(self)
        bank._rank = max(_LEAST_RANK, 1 << (rank - 1).bit_length())  # a little more, as kernels like it
        bank._adapters = dict(self._adapters)
        bank._masks = bank._masks_of(bank._rank)
        bank.adapted = {
            name: AdaptedLinear(linear, bank, rank=bank._rank) for name, linear in self._linears.items()
        }
        for place, adapter in self._adapters.items():
            bank.put(place, adapter)
        return bank

    def put(self, place: int, adapter: Adapter) -> None:
        """Hold `adapter`, whose rank has room, in `place`; that is empty after a torch.OutOfMemoryError."""
        self._adapters.pop(place, None)
        for name, linear in self.adapted.items():
            linear.put(place, adapter, name)
        self._adapters[place] = adapter

    def assign(self, slot: int, place: int | None) -> None:
        """Answer `slot` with the adapter in `place`, or with none."""
        self._places[slot].fill_(PLACES if place is None else place)

    def choose(self, slots: Tensor) -> None:
        """The rows computed next are those of `slots` (n,); negative ones are dead and may get any mask."""
        if self._rank:
            self.mask = self._masks[self._places[slots]]

    def _masks_of(self, rank: int) -> Tensor:
        """(PLACES + 1, PLACES * rank): one row for each place, and one for no adapter."""
        masks = torch.eye(PLACES + 1, PLACES, dtype=self.dtype, device=self.device)
        return masks.repeat_interleave(rank, dim=1)
