"""Which worker processes are alive and how they fare, as they say themselves with every heartbeat."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from core.database import Database, Row
from core.messages import ModelName
from core.metrics import EngineMetrics
from core.observing.gpus import Gpu

# A worker silent for this many heartbeats counts as gone.
MISSED_BEATS = 3
FORGOTTEN_AFTER_S = 24 * 3600


def new_worker_name(queue: str) -> str:
    """Of this process and no other, ever: containers may agree in host name and pid, and pids come again."""
    return f"{queue}@{socket.gethostname()}:{os.getpid()}-{secrets.token_hex(3)}"


class WorkerState(StrEnum):
    LOADING = "loading"  # takes the card's memory, serves soon
    SERVING = "serving"
    CEDING = "ceding"  # begins nothing, lets answers finish: training wants the card
    CEDED = "ceded"  # uses nothing of the card until training gives it back


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a worker stands: `card` None uses none, `is_pinned` serves what an operator chose by hand.

    `alarm` says what an operator should see to; `gpus` are the cards it sees, None where it looks for none.
    """

    card: str | None = None
    state: WorkerState = WorkerState.SERVING
    is_pinned: bool = False
    alarm: str | None = None
    gpus: tuple[Gpu, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One process as it last signed; `metrics` as it wrote them, since another release may say more or less."""

    name: str
    queue: str
    version: str | None
    slots: int
    started_at: datetime
    seen_at: datetime
    metrics: dict[str, Any] | None
    card: str | None = None
    state: WorkerState = WorkerState.SERVING
    is_pinned: bool = False
    alarm: str | None = None
    gpus: tuple[Gpu, ...] = ()


def paused_models(workers: Iterable[Worker]) -> set[ModelName]:
    """Models all of whose living workers have lent their cards to a training."""
    states: dict[str, set[WorkerState]] = {}
    for worker in workers:
        states.setdefault(worker.queue, set()).add(worker.state)
    return {model for model in ModelName if states.get(model) == {WorkerState.CEDED}}


DEFAULT = Standing()


class Roster:
    """The table of workers; `beat_s` is the heartbeat's interval. Names read `queue@host:pid`."""

    def __init__(self, database: Database, *, beat_s: float) -> None:
        self._database = database
        self._beat_s = beat_s

    def sign(
        self,
        *,
        name: str,
        queue: str,
        version: str | None,
        slots: int,
        metrics: EngineMetrics | None,
        standing: Standing = DEFAULT,
    ) -> None:
        """Say that this worker lives, and how its engine fares."""
        parameters = {
            "name": name,
            "queue": queue,
            "version": version,
            "slots": slots,
            "metrics": metrics.model_dump_json() if metrics else None,
            **asdict(standing),
            "gpus": _GPUS.dump_json(standing.gpus).decode() if standing.gpus is not None else None,
        }
        self._database.execute(_SIGN, parameters)

    def leave(self, name: str) -> None:
        self._database.execute("DELETE FROM worker WHERE name = %(name)s", {"name": name})

    def forget_host(self, host: str) -> None:
        """Sign off every worker of a host; those that live sign in again with their next beat."""
        self._database.execute(_FORGET_HOST, {"host": host})

    def alive(self) -> list[Worker]:
        """The living workers, by queue and name."""
        rows = self._database.fetch(_ALIVE, {"silence_s": self._beat_s * MISSED_BEATS})
        return [_worker(row) for row in rows]

    def forget_gone(self) -> None:
        """Remove workers that vanished long ago."""
        self._database.execute(_FORGET, {"silence_s": FORGOTTEN_AFTER_S})


_GPUS = TypeAdapter(tuple[Gpu, ...])


def _worker(row: Row) -> Worker:
    gpus = tuple(Gpu.model_construct(**gpu) for gpu in row["gpus"] or ())
    return Worker(**{**row, "state": WorkerState(row["state"]), "gpus": gpus})


_SIGN = """
INSERT INTO worker (name, queue, version, slots, metrics, card, state, is_pinned, alarm, gpus)
VALUES (%(name)s, %(queue)s, %(version)s, %(slots)s, %(metrics)s, %(card)s, %(state)s, %(is_pinned)s, %(alarm)s,
        %(gpus)s)
ON CONFLICT (name) DO UPDATE
SET queue = excluded.queue, version = excluded.version, slots = excluded.slots, metrics = excluded.metrics,
    card = excluded.card, state = excluded.state, is_pinned = excluded.is_pinned, alarm = excluded.alarm,
    gpus = excluded.gpus, seen_at = now()
"""

_ALIVE = """
SELECT name, queue, version, slots, started_at, seen_at, metrics, card, state, is_pinned, alarm, gpus FROM worker
WHERE seen_at > now() - make_interval(secs => %(silence_s)s) ORDER BY queue, name
"""

_FORGET_HOST = "DELETE FROM worker WHERE split_part(split_part(name, '@', 2), ':', 1) = %(host)s"

_FORGET = "DELETE FROM worker WHERE seen_at < now() - make_interval(secs => %(silence_s)s)"
