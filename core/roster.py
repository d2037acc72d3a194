"""Which worker processes are alive and how they fare, as they say themselves with every heartbeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.database import Database
from core.metrics import EngineMetrics

# A worker silent for this many heartbeats counts as gone.
MISSED_BEATS = 3
FORGOTTEN_AFTER_S = 24 * 3600


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


class Roster:
    """The table of workers; `beat_s` is the heartbeat's interval. Names read `queue@host:pid`."""

    def __init__(self, database: Database, *, beat_s: float) -> None:
        self._database = database
        self._beat_s = beat_s

    def sign(
        self, *, name: str, queue: str, version: str | None, slots: int, metrics: EngineMetrics | None
    ) -> None:
        """Say that this worker lives, and how its engine fares."""
        parameters = {
            "name": name,
            "queue": queue,
            "version": version,
            "slots": slots,
            "metrics": metrics.model_dump_json() if metrics else None,
        }
        self._database.execute(_SIGN, parameters)

    def leave(self, name: str) -> None:
        self._database.execute("DELETE FROM worker WHERE name = %(name)s", {"name": name})

    def forget_host(self, host: str) -> None:
        """Sign off every worker of a host; those that live sign in again with their next beat."""
        self._database.execute(_FORGET_HOST, {"host": host})

    def alive(self) -> list[Worker]:
        """The living workers, by queue and name."""
        return [Worker(**row) for row in self._database.fetch(_ALIVE, {"silence_s": self._beat_s * MISSED_BEATS})]

    def forget_gone(self) -> None:
        """Remove workers that vanished long ago."""
        self._database.execute(_FORGET, {"silence_s": FORGOTTEN_AFTER_S})


_SIGN = """
INSERT INTO worker (name, queue, version, slots, metrics)
VALUES (%(name)s, %(queue)s, %(version)s, %(slots)s, %(metrics)s)
ON CONFLICT (name) DO UPDATE
SET queue = excluded.queue, version = excluded.version, slots = excluded.slots, metrics = excluded.metrics,
    seen_at = now()
"""

_ALIVE = """
SELECT name, queue, version, slots, started_at, seen_at, metrics FROM worker
WHERE seen_at > now() - make_interval(secs => %(silence_s)s) ORDER BY queue, name
"""

_FORGET_HOST = "DELETE FROM worker WHERE split_part(split_part(name, '@', 2), ':', 1) = %(host)s"

_FORGET = "DELETE FROM worker WHERE seen_at < now() - make_interval(secs => %(silence_s)s)"
