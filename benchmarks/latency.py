"""How long one thing after another takes, one client alone."""

from __future__ import annotations

import time
from collections.abc import Callable

LATENCY_SAMPLES = 300


def sample(connect: Callable[[], Callable[[], None]], number: int = LATENCY_SAMPLES) -> list[float]:
    """Seconds that each call of what `connect` returns took."""
    once, samples = connect(), []
    for _ in range(number):
        start = time.perf_counter()
        once()
        samples.append(time.perf_counter() - start)
    return samples


def print_latency(name: str, samples: list[float]) -> None:
    """Of samples in seconds."""
    ordered = sorted(1000 * sample for sample in samples)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    print(f"{name:40} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms")
