"""Counts of durations by size, as Prometheus keeps them: they add up over processes, quantiles do not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

# Seconds; upper edges, each bucket holds what is not above its own.
FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
WAIT_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Histogram(BaseModel):
    """`counts` has one more entry than `bounds`, for what is above the last; `total` is the sum of all values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    def cumulative(self) -> Iterator[tuple[str, float]]:
        """(upper edge as Prometheus writes it, how many are not above it)."""
        sofar = 0
        edges = [*(str(bound) for bound in self.bounds), "+Inf"]
        for edge, count in zip(edges, self.counts, strict=True):
            sofar += count
            yield edge, float(sofar)


class Tally:
    """A histogram that grows; its owner sees to it that only one thread writes at a time."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def note(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def add(self, bucket: int, *, count: int, total: float) -> None:
        """Values that were sorted into a bucket elsewhere; `total` is their sum."""
        self._counts[bucket] += count
        self._total += total

    def snapshot(self) -> Histogram:
        return Histogram(bounds=self._bounds, counts=tuple(self._counts), total=self._total)
