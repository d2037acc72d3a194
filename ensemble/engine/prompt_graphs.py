"""Reading short pieces of prompts as CUDA graphs: one by one, kernels take longer to launch than to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ensemble.engine.network import Chunk
from ensemble.engine.packing import Packing, Size, columns_of, joined, split
from ensemble.engine.step_graphs import Captured, Pool, capture

_SIZES = (Size(64, 16), Size(128, 16), Size(256, 16), Size(512, 16))  # larger ones keep the GPU busy by themselves


class PromptGraphs:
    """Replays `read(packing)` for chunks filled up to the next larger size; `spare` is the slot of the filling."""

    def __init__(
        self, read: Callable[[Packing], Tensor], *, width: int, spare: int, device: torch.device, pool: Pool
    ) -> None:
        self._read = read
        self._width, self._spare = width, spare
        self._device, self._pool = device, pool
        self._graphs: dict[Size, tuple[Tensor, Captured]] = {}

    def replay(self, chunks: Sequence[Chunk]) -> Tensor | None:
        """Logits (chunks, vocabulary); None where no size is large enough."""
        size = next((size for size in _SIZES if size.holds(chunks)), None)
        if size is None:
            return None
        if size not in self._graphs:
            self._graphs[size] = self._captured(size)
        together, captured = self._graphs[size]
        together.copy_(
            joined(columns_of(chunks, width=self._width, size=size, spare=self._spare)), non_blocking=True
        )
        captured.graph.replay()
        return captured.logits[: len(chunks)].clone()

    def capture(self) -> None:
        """Capture every size now; larger ones first, whose memory the others share."""
        for size in reversed(_SIZES):
            if size not in self._graphs:
                self._graphs[size] = self._captured(size)

    def _captured(self, size: Size) -> tuple[Tensor, Captured]:
        columns = columns_of([], width=self._width, size=size, spare=self._spare)
        together = joined(columns).to(self._device)
        packing = split(together, columns)
        return together, capture(lambda: self._read(packing), self._pool)
