"""Which worker processes are alive, as they say themselves with every heartbeat."""

from __future__ import annotations

from core.database import Database

# A worker silent for this many heartbeats counts as gone.
MISSED_BEATS = 3
FORGOTTEN_AFTER_S = 24 * 3600


class Roster:
    """The table of workers; `beat_s` is the heartbeat's interval. Names read `queue@host:pid`."""

    def __init__(self, database: Database, *, beat_s: float) -> None:
        self._database = database
        self._beat_s = beat_s

    def sign(self, *, name: str, queue: str, version: str | None, slots: int) -> None:
        """Say that this worker lives."""
        parameters = {"name": name, "queue": queue, "version": version, "slots": slots}
        self._database.execute(_SIGN, parameters)

    def leave(self, name: str) -> None:
        self._database.execute("DELETE FROM worker WHERE name = %(name)s", {"name": name})

    def forget_host(self, host: str) -> None:
        """Sign off every worker of a host; those that live sign in again with their next beat."""
        self._database.execute(_FORGET_HOST, {"host": host})

    def alive(self) -> dict[str, int]:
        """Number of living workers by queue; queues without one are absent."""
        rows = self._database.fetch(_ALIVE, {"silence_s": self._beat_s * MISSED_BEATS})
        return {row["queue"]: row["workers"] for row in rows}

    def forget_gone(self) -> None:
        """Remove workers that vanished long ago."""
        self._database.execute(_FORGET, {"silence_s": FORGOTTEN_AFTER_S})


_SIGN = """
INSERT INTO worker (name, queue, version, slots) VALUES (%(name)s, %(queue)s, %(version)s, %(slots)s)
ON CONFLICT (name) DO UPDATE
SET queue = excluded.queue, version = excluded.version, slots = excluded.slots, seen_at = now()
"""

_ALIVE = """
SELECT queue, count(*)::int AS workers FROM worker
WHERE seen_at > now() - make_interval(secs => %(silence_s)s) GROUP BY queue ORDER BY queue
"""

_FORGET_HOST = "DELETE FROM worker WHERE split_part(split_part(name, '@', 2), ':', 1) = %(host)s"

_FORGET = "DELETE FROM worker WHERE seen_at < now() - make_interval(secs => %(silence_s)s)"
