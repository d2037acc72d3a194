"""The service's account of itself: who lives, and how the engines fare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.options import Profile
from core.roster import Worker, WorkerState

IN_SHORT = ("profile", "database", "broker", "workers")
"""What is said without an API key, to who asks from this machine."""


def render_service(
    *,
    profile: Profile,
    router: str,
    database: str,
    broker: str,
    workers: Sequence[Worker],
    alarms: Sequence[str],
) -> dict[str, Any]:
    """`database` and `broker` are "ok" or the code of what is wrong; `workers` are those that live.

    One that still loads its model is in the roster, but not among those counted. `alarms` are of the router and of
    versions; those of workers are added.
    """
    return {
        "profile": profile,
        "router": router,
        "database": database,
        "broker": broker,
        "workers": Counter(worker.queue for worker in workers if worker.state is not WorkerState.LOADING),
        "alarms": [*alarms, *(worker.alarm for worker in workers if worker.alarm)],
        "roster": [_render_worker(worker) for worker in workers],
    }


def _render_worker(worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "queue": worker.queue,
        "version": worker.version,
        "slots": worker.slots,
        "started_at": worker.started_at.isoformat(timespec="milliseconds"),
        "seen_at": worker.seen_at.isoformat(timespec="milliseconds"),
        "state": worker.state,
        "card": worker.card,
        "is_pinned": worker.is_pinned,
        "gpus": [gpu.model_dump() for gpu in worker.gpus],
        "metrics": _figures(worker.metrics),
    }


def _figures(metrics: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without the histograms, which are for Prometheus."""
    return metrics and {name: value for name, value in metrics.items() if not isinstance(value, dict)}
