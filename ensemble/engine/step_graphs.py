"""One decoding step as CUDA graphs, one per size of batch, all reading the same input buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_COARSEST = 128  # between sizes beyond those

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
Pool = Any  # torch's handle, of a type that torch keeps to itself


@dataclass(frozen=True, slots=True)
class Captured:
    """A graph and the buffer that each replay fills."""

    graph: torch.cuda.CUDAGraph
    logits: Tensor


def capture(compute: Callable[[], Tensor], pool: Pool) -> Captured:
    """Capture `compute`, which runs once before; it must not touch anybody's sequence.

    Raises torch.OutOfMemoryError. Graphs of one pool share memory: each replay overwrites what the others left.
    """
    compute()  # compiles kernels and sets up libraries, which a capture cannot
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=pool):
            logits = compute()
    except RuntimeError as error:
        if isinstance(error.__context__, torch.OutOfMemoryError):  # ending the capture failed in its turn
            raise torch.OutOfMemoryError(str(error.__context__)) from None
        raise
    return Captured(graph, logits)


class StepGraphs:
    """Replays `step(slots, tokens, positions)` of the next larger size.

    Spare rows have slot -1, which `step` must skip. A size is captured when it is first needed, or all of them by
    `capture`. What `replay` returns is overwritten by the next replay.
    """

    def __init__(self, step: Step, *, slots: int, device: torch.device, pool: Pool) -> None:
        self._step = step
        self._pool = pool
        self._sizes = sizes_up_to(slots)
        self._inputs = torch.zeros(3, self._sizes[-1], dtype=torch.int64, device=device)
        self._graphs: dict[int, Captured] = {}

    def replay(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        """Logits of the first rows, one for each of `slots`."""
        rows = len(slots)
        size = next(size for size in self._sizes if size >= rows)
        if size not in self._graphs:
            self._graphs[size] = self._captured(size)
        torch.stack((slots, tokens, positions), out=self._inputs[:, :rows])
        self._inputs[0, rows:size].fill_(-1)
        self._graphs[size].graph.replay()
        return self._graphs[size].logits[:rows]

    def capture(self) -> None:
        """Capture every size now; larger ones first, whose memory the others share."""
        for size in reversed(self._sizes):
            if size not in self._graphs:
                self._graphs[size] = self._captured(size)

    def _captured(self, size: int) -> Captured:
        self._inputs.zero_()
        self._inputs[0].fill_(-1)  # neither warming up nor capturing may touch a sequence
        inputs = self._inputs[:, :size].unbind()
        return capture(lambda: self._step(*inputs), self._pool)


def sizes_up_to(slots: int) -> list[int]:
    """The batch sizes worth a graph: small ones close together, none larger than needed for `slots`."""
    sizes = [*_SIZES, *range(_SIZES[-1] + _COARSEST, slots + _COARSEST, _COARSEST)]
    smallest = next(size for size in sizes if size >= slots)
    return [size for size in sizes if size <= smallest]
