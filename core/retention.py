"""Forgetting: ended jobs and deliveries after their time, in small pieces, and single jobs when asked to."""

from __future__ import annotations

import time
from uuid import UUID

from core.database import Database
from core.errors import JobInBatch, JobOpen
from core.jobs import JobStore, parse_id

PIECE = 500
BATCH_KEPT_DAYS = 8.0
"""A batch reads its jobs when it ends, at most a week after it began: until then they stay, whatever is set."""
DAY_S = 86_400.0


class RetentionStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def prune(self, *, days: float) -> list[str]:
        """Delete up to PIECE jobs that ended more than so many days ago; their ids."""
        parameters = {
            "days": days,
            "batch_days": max(days, BATCH_KEPT_DAYS),
            "before": _oldest_id(days),
            "piece": PIECE,
        }
        return [row["id"] for row in self._database.fetch(_PRUNE, parameters)]

    def prune_deliveries(self, *, days: float) -> int:
        """Delete up to PIECE webhook deliveries that ended more than so many days ago."""
        return len(self._database.fetch(_PRUNE_DELIVERIES, {"days": days, "piece": PIECE}))

    def delete(self, job_id: str) -> None:
        """Delete an ended job. Raises JobNotFound, JobOpen, or JobInBatch for a line of a batch."""
        if self._database.fetch(_DELETE, {"id": parse_id(job_id)}):
            return
        if not JobStore(self._database).state(job_id).is_final:
            raise JobOpen(job_id)
        raise JobInBatch(job_id)


def _oldest_id(days: float) -> str:
    """The first UUIDv7 of that moment: ids sort by time, so the index on (state, id) finds what may be pruned."""
    milliseconds = max(0, int((time.time() - days * DAY_S) * 1000))
    return str(UUID(int=milliseconds << 80))


_PRUNE = """
DELETE FROM job WHERE id IN (
    SELECT id FROM job
    WHERE state IN ('succeeded', 'failed', 'dead', 'cancelled', 'expired') AND id < %(before)s
      AND finished_at < now() - make_interval(secs => 86400 * CASE WHEN batch_id IS NULL THEN %(days)s
                                                                   ELSE %(batch_days)s END)
    LIMIT %(piece)s FOR UPDATE SKIP LOCKED)
RETURNING id::text
"""

_PRUNE_DELIVERIES = """
DELETE FROM webhook_delivery WHERE id IN (
    SELECT id FROM webhook_delivery
    WHERE state <> 'pending' AND ended_at < now() - make_interval(secs => 86400 * %(days)s)
    LIMIT %(piece)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""

_DELETE = """
DELETE FROM job WHERE id = %(id)s AND state NOT IN ('queued', 'running') AND batch_id IS NULL
RETURNING id
"""
