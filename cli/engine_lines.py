"""How the engines fare, one line each, from what `GET /v1/status` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.views import EngineView, WorkerView


def engine_lines(service: Mapping[str, Any]) -> list[str]:
    """One line per living worker that serves a model, or will when it is loaded."""
    workers = [WorkerView.model_validate(worker) for worker in service.get("roster", ())]
    return [
        f"{worker.name} · {worker.state.upper()}" if worker.metrics is None else _line(worker, worker.metrics)
        for worker in workers
        if worker.metrics is not None or worker.state != "serving"
    ]


def _line(worker: WorkerView, metrics: EngineView) -> str:
    words = [
        f"{worker.name} ({worker.version})",
        *(["PINNED"] if worker.is_pinned else []),
        *([worker.state.upper()] if worker.state != "serving" else []),
        *(["ASLEEP"] if metrics.is_asleep else []),
        f"running {metrics.running}/{worker.slots}",
        f"waiting {metrics.waiting}",
        f"{metrics.tokens_per_s:.1f} tokens/s",
        f"first token {_milliseconds(metrics.first_token_p50_s)}",
        f"token {_milliseconds(metrics.token_p50_s)}",
        f"memory {_mebibytes(metrics.memory_used_bytes)} of {_mebibytes(metrics.memory_bytes)} MiB",
        f"preempted {metrics.preemptions}",
    ]
    return " · ".join(words)


def _milliseconds(seconds: float | None) -> str:
    """The median, where there is one yet."""
    return "-" if seconds is None else f"{seconds * 1000:.3g} ms"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f}"
