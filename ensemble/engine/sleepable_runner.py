"""A `BatchRunner` that can give its device's memory back and take it again; while it sleeps there is none."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

import torch

from core.errors import EngineUnavailable
from core.messages import Sampling
from ensemble.engine.adapter import Adapter
from ensemble.engine.batch_runner import PREFILL_TOKENS, BatchRunner, Row
from ensemble.engine.network import NetworkSource
from ensemble.engine.runner import OutOfMemory, Result


class SleepableRunner:
    """The loop's runner, awake once built. Building it raises torch.OutOfMemoryError where it does not fit."""

    def __init__(self, source: NetworkSource, *, prefill_tokens: int = PREFILL_TOKENS) -> None:
        self._source = source
        self._prefill_tokens = prefill_tokens
        self._adapters: dict[int, Adapter] = {}
        self._runner: BatchRunner | None = self._bring()

    @property
    def memory_bytes(self) -> int:
        runner = self._runner
        return runner.network.memory_bytes if runner is not None else 0

    @property
    def memory_used_bytes(self) -> int:
        runner = self._runner
        return runner.network.memory_used_bytes if runner is not None else 0

    def admit(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_tokens: int,
        written: Sequence[int] = (),
        place: int | None = None,
    ) -> Row | None:
        """Take one sequence in, or None while memory for it is lacking."""
        return self._awake.admit(prompt, sampling, max_tokens=max_tokens, written=written, place=place)

    def step(self, batch: Sequence[Row]) -> list[Result]:
        return self._awake.step(batch)

    def release(self, state: Row) -> None:
        self._awake.release(state)

    def load_adapter(self, directory: Path) -> Adapter:
        """Raises AdapterError."""
        return self._source.load_adapter(directory)

    def place_adapter(self, place: int, adapter: Adapter) -> None:
        """Raises EngineUnavailable where the device has no memory for it; the place is then empty."""
        self._adapters.pop(place, None)
        if self._runner is not None and not _adopts(self._runner, place, adapter):
            raise EngineUnavailable(f"the device has no memory for an adapter of rank {adapter.rank}")
        self._adapters[place] = adapter

    def warm_up(self) -> None:
        """Compile and capture everything now; `wake` does so by itself."""
        self._awake.warm_up()

    def sleep(self) -> None:
        """Let everything on the device go; every sequence must have been released."""
        self._runner = None
        self._source.put_away()

    def wake(self, places: Set[int]) -> None:
        """Raises OutOfMemory, and sleeps on."""
        self._adapters = {place: adapter for place, adapter in self._adapters.items() if place in places}
        self._runner = self._bring_if_it_fits()
        if self._runner is None:
            self._source.put_away()
            raise OutOfMemory(())

    @property
    def _awake(self) -> BatchRunner:
        if self._runner is None:
            raise RuntimeError("the runner sleeps")
        return self._runner

    def _bring(self) -> BatchRunner:
        runner = BatchRunner(self._source.bring(), prefill_tokens=self._prefill_tokens)
        largest_first = sorted(self._adapters.items(), key=lambda held: -held[1].rank)
        for place, adapter in largest_first:
            runner.network.adopt(place, adapter)
        return runner

    # In functions of their own: an exception keeps alive whatever its frames have taken.

    def _bring_if_it_fits(self) -> BatchRunner | None:
        try:
            runner = self._bring()
            runner.warm_up()
        except (torch.OutOfMemoryError, OutOfMemory):
            return None
        return runner


def _adopts(runner: BatchRunner, place: int, adapter: Adapter) -> bool:
    try:
        runner.network.adopt(place, adapter)
    except torch.OutOfMemoryError:
        return False
    return True
