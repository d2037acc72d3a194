"""One look at an installation, in three shapes: the seed's JSON, Prometheus' text, and whether all is well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.errors import Unavailable
from core.observing import families
from core.observing.endings import EndingsCounter
from core.observing.gpus import GIB, Gpu, ReadGpus
from core.observing.ledger import LedgerFigures, Trainings
from core.roster import Worker, WorkerState

FRESH_S = 1.0
"""A text younger than this is given again, so that any number of scrapes cost one look."""
HEALTH_MODEL = "mamba-codestral"
METRICS_MODEL = "Mamba-Codestral-7B-v0.1"

Probe = Callable[[], None]
"""Returns, or raises Unavailable."""
ReadMessages = Callable[[], families.Messages]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one process answers for: which queues must have a living worker, and whether it counts endings."""

    queues: tuple[str, ...]
    counts_endings: bool


class Observatory:
    """Safe to be asked from any thread. `read_messages` may raise Unavailable too."""

    def __init__(
        self,
        ledger: LedgerFigures,
        *,
        endings: EndingsCounter,
        scope: Scope,
        ping_broker: Probe,
        read_messages: ReadMessages,
        read_gpus: ReadGpus,
        host: str,
    ) -> None:
        self._ledger = ledger
        self._endings = endings
        self._scope = scope
        self._ping_broker = ping_broker
        self._read_messages = read_messages
        self._read_gpus = read_gpus
        self._host = host
        self._lock = Lock()
        self._texts: dict[str, tuple[float, bytes]] = {}

    def unhealthy(self) -> list[str]:
        """The parts that are not well: `database`, `redis`, `worker-codestral`, ...; none where all is."""
        found = [] if _answers(self._ping_broker) else ["redis"]
        try:
            serving = {w.queue for w in self._ledger.workers() if w.state is not WorkerState.LOADING}
        except Unavailable:
            return ["database", *found]
        return found + [f"worker-{queue}" for queue in self._scope.queues if queue not in serving]

    def summary(self) -> dict[str, Any]:
        """The seed's figures of training. Raises DatabaseUnavailable."""
        totals, version = self._ledger.trainings(), self._ledger.version()
        gpus = self._read_gpus() or _gpus_of_codestral(self._ledger.workers())
        return {
            "training_in_progress": totals.in_progress,
            "last_training_id": totals.last_trained_id,
            "current_max_id": totals.current_max_id,
            "metrics": _render_trainings(totals, version),
            **_render_gpus(gpus),
            "model": METRICS_MODEL,
        }

    def text(self, accept: str) -> tuple[bytes, str]:
        """Prometheus' text, or OpenMetrics where `accept` asks for it, and its content type."""
        encode, content_type = choose_encoder(accept)
        with self._lock:
            made_at, body = self._texts.get(content_type, (0.0, b""))
            if not body or time.monotonic() - made_at > FRESH_S:
                registry = CollectorRegistry()
                registry.register(_Collected(list(self._families())))
                body = encode(registry)
                self._texts[content_type] = (time.monotonic(), body)
        return body, content_type

    def _families(self) -> Iterator[Metric]:
        states = {"redis": _answers(self._ping_broker), "database": True}
        messages = self._messages()
        try:
            snapshot = self._ledger.snapshot()
            yield from families.queues(snapshot, messages)
            yield from families.fleet(snapshot.workers)
            yield from families.training(snapshot)
            yield from families.trained(self._ledger.trainings())
            yield from families.cards(self._cards(snapshot.workers))
            if self._scope.counts_endings:
                yield from families.endings(self._endings.look())
        except Unavailable:
            states["database"] = False
        yield from families.parts(states)

    def _cards(self, workers: Any) -> Mapping[str, list[Gpu]]:
        seen: dict[str, list[Gpu]] = {self._host: list(self._read_gpus())}
        for worker in workers:
            seen.setdefault(_host_of(worker), []).extend(worker.gpus)
        return seen

    def _messages(self) -> families.Messages:
        try:
            return self._read_messages()
        except Unavailable:
            return {}


class _Collected(Collector):
    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> list[Metric]:
        return self._found


def wants_text(accept: str) -> bool:
    """Whether an Accept header is Prometheus': it names a kind of text and not JSON."""
    return ("text/plain" in accept or "application/openmetrics-text" in accept) and "json" not in accept


def render_health(unhealthy: Sequence[str]) -> tuple[dict[str, Any], int]:
    """The seed's answer and its HTTP status; where something is wrong, its parts are named."""
    if not unhealthy:
        return {"status": "healthy", "model": HEALTH_MODEL}, 200
    return {"status": "unhealthy", "model": HEALTH_MODEL, "unhealthy": list(unhealthy)}, 503


def _answers(probe: Probe) -> bool:
    try:
        probe()
    except Unavailable:
        return False
    return True


def _host_of(worker: Worker) -> str:
    return worker.name.partition("@")[2].rpartition(":")[0]


def _gpus_of_codestral(workers: list[Worker]) -> tuple[Gpu, ...]:
    """Where this machine has no card: the first code worker's."""
    return next((worker.gpus for worker in workers if worker.queue == "codestral" and worker.gpus), ())


def _render_trainings(totals: Trainings, version: int) -> dict[str, Any]:
    last = totals.last_finished_at
    return {
        "total_trainings": totals.total,
        "total_files_trained": totals.files,
        "last_training_time": last.isoformat(timespec="seconds") if last else None,
        "avg_training_time": round(totals.average_s, 1) if totals.average_s is not None else None,
        "model_version": version,
    }


def _render_gpus(gpus: tuple[Gpu, ...]) -> dict[str, Any]:
    """Per cent and GiB, of all cards together; null where there is none."""
    busy = [gpu.utilization for gpu in gpus if gpu.utilization is not None]
    return {
        "gpu_utilization": round(100 * sum(busy) / len(busy)) if busy else None,
        "gpu_memory_used": round(sum(gpu.memory_used_bytes for gpu in gpus) / GIB, 1) if gpus else None,
        "gpu_memory_total": round(sum(gpu.memory_total_bytes for gpu in gpus) / GIB, 1) if gpus else None,
    }
