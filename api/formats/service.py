"""The service's account of itself: who lives, and how the engines fare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.options import Profile
from core.roster import Worker


def render_service(*, profile: Profile, database: str, broker: str, workers: Sequence[Worker]) -> dict[str, Any]:
    """`database` and `broker` are "ok" or the code of what is wrong; `workers` are those that live."""
    return {
        "profile": profile,
        "database": database,
        "broker": broker,
        "workers": Counter(worker.queue for worker in workers),
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
        "metrics": worker.metrics,
    }
