"""How fast this machine is just now, so that laws about time hold on slow and busy machines too."""

from __future__ import annotations

import time

# CPU seconds of `_reference` where the laws were written (one core, CPython 3.11).
REFERENCE_S = 0.00098


def slowness() -> float:
    """How many times longer plain Python takes here than where the laws were written, at least 1."""
    return max(1.0, min(_reference() for _ in range(50)) / REFERENCE_S)


def _reference() -> float:
    start, total = time.thread_time(), 0
    for number in range(20_000):
        total += number * number % 7
    return time.thread_time() - start
