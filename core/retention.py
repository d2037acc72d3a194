"""Forgetting: what has ended after its time, in small pieces, and single jobs when asked to."""

from __future__ import annotations

import time
from uuid import UUID

from core.database import Database
from core.job_errors import JobInBatch, JobOpen
from core.jobs import JobStore, parse_id

PIECE = 500
FILES_PIECE = 20
"""A file may have hundreds of megabytes."""
DAY_S = 86_400.0


class RetentionStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def prune(self, *, days: float) -> list[str]:
        """Delete up to PIECE jobs that ended more than so many days ago; their ids.

        A batch reads its jobs when it ends: until then they stay.
        """
        parameters = {"days": days, "before": _oldest_id(days), "piece": PIECE}
        return [row["id"] for row in self._database.fetch(_PRUNE, parameters)]

    def prune_batches(self, *, days: float) -> int:
        """Delete up to PIECE batches that ended more than so many days ago; not their files."""
        parameters = {"days": days, "before": _oldest_id(days), "piece": PIECE}
        return len(self._database.fetch(_PRUNE_BATCHES, parameters))

    def prune_files(self, *, days: float) -> int:
        """Delete up to FILES_PIECE files that are older, no open batch reads and no date of their own keeps."""
        parameters = {"before": _oldest_id(days), "piece": FILES_PIECE}
        return len(self._database.fetch(_PRUNE_FILES, parameters))

    def prune_deliveries(self, *, days: float) -> int:
        """Delete up to PIECE webhook deliveries that ended more than so many days ago."""
        return len(self._database.fetch(_PRUNE_DELIVERIES, {"days": days, "piece": PIECE}))

    def delete(self, job_id: str) -> None:
        """Delete an ended job. Raises JobNotFound, JobOpen, or JobInBatch while its batch is open."""
        if self._database.fetch(_DELETE, {"id": parse_id(job_id)}):
            return
        if not JobStore(self._database).state(job_id).is_final:
            raise JobOpen(job_id)
        raise JobInBatch(job_id)


def _oldest_id(days: float) -> str:
    """The first UUIDv7 of that moment: ids sort by time, so the index on (state, id) finds what may be pruned."""
    milliseconds = max(0, int((time.time() - days * DAY_S) * 1000))
    return str(UUID(int=milliseconds << 80))


_BATCH_IS_OPEN = """EXISTS (
    SELECT 1 FROM batch WHERE batch.id = job.batch_id
      AND batch.state IN ('validating', 'in_progress', 'finalizing', 'cancelling'))"""

_PRUNE = f"""
DELETE FROM job WHERE id IN (
    SELECT id FROM job
    WHERE state IN ('succeeded', 'failed', 'dead', 'cancelled', 'expired') AND id < %(before)s
      AND finished_at < now() - make_interval(secs => 86400 * %(days)s) AND NOT {_BATCH_IS_OPEN}
    LIMIT %(piece)s FOR UPDATE SKIP LOCKED)
RETURNING id::text
"""  # noqa: S608

_PRUNE_BATCHES = """
DELETE FROM batch WHERE id IN (
    SELECT id FROM batch
    WHERE id < %(before)s AND state IN ('completed', 'failed', 'expired', 'cancelled')
      AND coalesce(completed_at, failed_at, expired_at, cancelled_at)
          < now() - make_interval(secs => 86400 * %(days)s)
    LIMIT %(piece)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""

_PRUNE_FILES = """
DELETE FROM file WHERE id IN (
    SELECT id FROM file
    WHERE id < %(before)s AND uses = 0 AND size_bytes IS NOT NULL AND expires_at IS NULL
    LIMIT %(piece)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""

_PRUNE_DELIVERIES = """
DELETE FROM webhook_delivery WHERE id IN (
    SELECT id FROM webhook_delivery
    WHERE state <> 'pending' AND ended_at < now() - make_interval(secs => 86400 * %(days)s)
    LIMIT %(piece)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""

_DELETE = f"""
DELETE FROM job WHERE id = %(id)s AND state NOT IN ('queued', 'running') AND NOT {_BATCH_IS_OPEN}
RETURNING id
"""  # noqa: S608
