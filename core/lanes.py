"""Lanes: what keeps one caller's flood from standing before another's first job.

A lane holds the open jobs of one key, one kind and one priority. Only a window of it is announced on the queue,
the rest is held in the ledger and announced, oldest first, as jobs of the lane end.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.database import Database
from core.messages import ModelName, Priority, TaskType


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    key_id: str | None
    task_type: TaskType
    priority: Priority

    def __str__(self) -> str:
        return f"{self.key_id or ''}/{self.task_type}/{self.priority}"

    @classmethod
    def parse(cls, text: str) -> Lane:
        """What `str` wrote."""
        key_id, task_type, priority = text.rsplit("/", 2)
        return cls(key_id=key_id or None, task_type=TaskType(task_type), priority=Priority(priority))


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """A job held no longer, and its models that can begin."""

    job_id: str
    models: tuple[ModelName, ...]


class LaneStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def advance(self, lane: Lane, *, window: int) -> list[Freed]:
        """Free as many held jobs, oldest first, as the lane has fewer than `window` open ones; to be announced.

        Callers at the same time choose the same jobs, and all but the first find them freed.
        """
        rows = self._database.fetch(_ADVANCE, {"lane": str(lane), "window": window})
        models: dict[str, list[ModelName]] = {}
        for row in rows:
            models.setdefault(row["job_id"], []).append(ModelName(row["model"]))
        return [Freed(job_id=job_id, models=tuple(models[job_id])) for job_id in sorted(models)]

    def held(self) -> list[Lane]:
        """All lanes in which jobs are held."""
        return [Lane.parse(row["lane"]) for row in self._database.fetch(_HELD)]


# Its commit does not wait for the disk: should it be lost, the jobs are held as before and freed again.
_ADVANCE = """
WITH freed AS (
    UPDATE job SET is_held = FALSE
    WHERE id IN (
        SELECT id FROM job WHERE lane = %(lane)s AND state = 'queued' AND is_held ORDER BY id
        LIMIT greatest(0, %(window)s - (
            SELECT count(*) FROM (
                SELECT 1 FROM job WHERE lane = %(lane)s AND state IN ('queued', 'running') AND NOT is_held
                LIMIT %(window)s) AS open))
        FOR UPDATE)
    RETURNING id
)
UPDATE completion SET state = 'queued', queued_at = now()
FROM freed, (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
WHERE completion.job_id = freed.id AND completion.state = 'held'
RETURNING completion.job_id::text, completion.model
"""

# Skips from lane to lane in the index, since one may hold tens of thousands of jobs.
_HELD = """
WITH RECURSIVE found AS (
    (SELECT lane FROM job WHERE state = 'queued' AND is_held ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT lane FROM job WHERE state = 'queued' AND is_held AND lane > found.lane ORDER BY lane LIMIT 1)
    FROM found WHERE found.lane IS NOT NULL
)
SELECT lane FROM found WHERE lane IS NOT NULL
"""
