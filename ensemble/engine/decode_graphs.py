"""One CUDA graph per size of batch, so that a step of hundreds of kernels is one launch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_FURTHER = 128  # between buckets beyond the last
DEAD = -1

Step = Callable[[Tensor, Tensor, Tensor], Tensor]


def buckets_for(slots: int) -> list[int]:
    """The batch sizes worth a graph of their own, up to `slots` and with it."""
    sizes = [*_BUCKETS, *range(_BUCKETS[-1] + _FURTHER, slots + _FURTHER, _FURTHER)]
    return [size for size in sizes if size < slots] + [slots]


class DecodeGraphs:
    """Replays `step(slots, tokens, positions)` for batches of any size up to `slots`, filled up with dead rows.

    `step` must leave rows of slot `DEAD` alone, must not wait for the device, and must read sizes that change from
    step to step on the device. The result is a buffer that the next call overwrites.
    """

    def __init__(self, step: Step, *, slots: int, device: torch.device) -> None:
        self._step = step
        self._sizes = buckets_for(slots)
        self._inputs = torch.zeros((3, slots), dtype=torch.int64, device=device)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        count = slots.shape[0]
        size = next(size for size in self._sizes if size >= count)
        graph, logits = self._graph(size)
        torch.stack((slots, tokens, positions), out=self._inputs[:, :count])
        self._inputs[0, count:size].fill_(DEAD)
        graph.replay()
        return logits[:count]

    def warm_up(self) -> None:
        """Record every graph now rather than when first needed."""
        for size in reversed(self._sizes):  # the largest first: the others then share its memory
            self._graph(size)

    def _graph(self, size: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        if size not in self._graphs:
            self._inputs.zero_()
            self._inputs[0].fill_(DEAD)
            self._step(*self._inputs[:, :size])  # compiles kernels, which a recording cannot
            torch.cuda.synchronize(self._inputs.device)
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the device while this one records.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                logits = self._step(*self._inputs[:, :size])
            self._graphs[size] = graph, logits
        return self._graphs[size]
