"""What a device can do at best: how fast it copies memory, and how fast it multiplies bf16 matrices.

Both are timed in the same run as whatever they bound. The operands are random: constant ones take less power, so
that a GPU would clock higher than it does at work. On the CPU the figures only serve to try the benchmarks out.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

COPY_BYTES = {"cuda": 1 << 33, "cpu": 1 << 26}
MATRIX = {"cuda": 8192, "cpu": 512}
REPEATS, UNTIMED = 8, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One device, with the two rates that bound everything on it."""

    name: str
    device: torch.device
    bytes_per_s: float  # read plus written
    flops: float  # bf16, per second

    @classmethod
    def measure(cls, device: torch.device) -> Machine:
        on_cuda = device.type == "cuda"
        bytes_per_s, flops = measure_bandwidth(device), measure_matmul(device)
        if on_cuda:
            torch.cuda.empty_cache()  # the operands were large
        return cls(
            name=torch.cuda.get_device_name(device) if on_cuda else "CPU",
            device=device,
            bytes_per_s=bytes_per_s,
            flops=flops,
        )

    def __str__(self) -> str:
        return (
            f"{self.name}, {os.cpu_count()} cores, torch {torch.__version__}; copies move "
            f"{self.bytes_per_s / 1e12:.2f} TB/s (read + written), bf16 matmul {self.flops / 1e12:.0f} TFLOP/s"
        )


def milliseconds(action: Callable[[], object], device: torch.device) -> float:
    """How long the device is busy with `action`."""
    if device.type != "cuda":
        begun = time.perf_counter()
        action()
        return 1e3 * (time.perf_counter() - begun)
    event: Any = torch.cuda.Event
    start, end = (event(enable_timing=True) for _ in range(2))
    start.record()
    action()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def measure_bandwidth(device: torch.device) -> float:
    """Bytes read plus bytes written per second by a large copy."""
    count = COPY_BYTES[device.type]
    source = torch.randint(0, 1 << 62, (count // 8,), device=device)
    target = torch.empty_like(source)
    return 2 * count / _median_s(lambda: target.copy_(source), device)


def measure_matmul(device: torch.device) -> float:
    """Floating-point operations per second of a large square product in bf16."""
    size = MATRIX[device.type]
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * size**3 / _median_s(lambda: torch.mm(left, right, out=out), device)


def _median_s(action: Callable[[], object], device: torch.device) -> float:
    timings = [milliseconds(action, device) for _ in range(REPEATS)]
    return 1e-3 * statistics.median(timings[UNTIMED:])
