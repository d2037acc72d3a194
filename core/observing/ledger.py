"""What the ledger says of an installation at this moment; every statement is answered from an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.database import Database, Row
from core.model_versions import VersionStore
from core.roster import Roster, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Completions of one model and priority that nobody has begun."""

    model: str
    priority: str
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainings:
    """All that was ever trained. Those that ended with a verdict count; `average_s` is None before the first."""

    in_progress: bool
    last_trained_id: int
    current_max_id: int
    total: int
    files: int
    last_finished_at: datetime | None
    average_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at everything. `version` is 0 where the base model serves; `progress` that of the open run."""

    depths: Sequence[Depth]
    jobs_queued: int
    jobs_held: int
    jobs_running: int
    oldest_queued_s: float
    workers: Sequence[Worker]
    version: int
    alarms: Sequence[str]
    new_files: int
    training: bool
    progress: Mapping[str, Any]
    runs: Mapping[str, int]


class LedgerFigures:
    """Raises DatabaseUnavailable throughout."""

    def __init__(self, database: Database, *, roster: Roster, min_quality_score: float) -> None:
        self._database = database
        self._roster = roster
        self._versions = VersionStore(database)
        self._least = min_quality_score

    def snapshot(self) -> Snapshot:
        (totals,) = self._database.fetch(_TOTALS, {"least": self._least})
        runs = self._database.fetch("SELECT state, count(*) AS n FROM training_run GROUP BY state")
        workers = self._roster.alive()
        alarms = [*self._versions.alarms(), *(worker.alarm for worker in workers if worker.alarm)]
        return Snapshot(
            depths=[Depth(**row) for row in self._database.fetch(_DEPTHS)],
            workers=workers,
            alarms=alarms,
            runs={row["state"]: row["n"] for row in runs},
            **_known(totals),
        )

    def trainings(self) -> Trainings:
        (row,) = self._database.fetch(_TRAININGS)
        return Trainings(**row)

    def version(self) -> int:
        """The number of the version in service, 0 for the base model."""
        serving = self._versions.serving()
        return serving.number if serving else 0

    def workers(self) -> list[Worker]:
        return self._roster.alive()


def _known(row: Row) -> dict[str, Any]:
    return {**row, "progress": row["progress"] or {}, "training": row["progress"] is not None}


_DEPTHS = """
SELECT model, priority, count(*) AS waiting FROM completion WHERE state = 'queued' GROUP BY model, priority
"""

# Ids sort by the time of their making, so the first queued one is the oldest.
_TOTALS = """
SELECT (SELECT count(*) FROM job WHERE state = 'queued') AS jobs_queued,
    (SELECT count(*) FROM job WHERE state = 'queued' AND is_held) AS jobs_held,
    (SELECT count(*) FROM job WHERE state = 'running') AS jobs_running,
    coalesce((SELECT extract(epoch FROM now() - created_at) FROM job
              WHERE state = 'queued' ORDER BY id LIMIT 1), 0)::float8 AS oldest_queued_s,
    coalesce((SELECT number FROM model_version WHERE state = 'serving'), 0) AS version,
    (SELECT count(*) FROM code_files WHERE run_id IS NULL AND rejection IS NULL AND content IS NOT NULL
        AND quality_score BETWEEN %(least)s AND 100) AS new_files,
    (SELECT progress FROM training_run WHERE state IN ('queued', 'running')) AS progress
"""

_TRAININGS = """
WITH judged AS (
    SELECT id, started_at, finished_at FROM training_run WHERE state IN ('promoted', 'rejected')
)
SELECT EXISTS (SELECT FROM training_run WHERE state IN ('queued', 'running')) AS in_progress,
    (SELECT coalesce(max(id), 0) FROM code_files WHERE run_id IS NOT NULL) AS last_trained_id,
    (SELECT coalesce(max(id), 0) FROM code_files) AS current_max_id,
    (SELECT count(*) FROM judged) AS total,
    (SELECT count(*) FROM training_file WHERE purpose = 'train' AND run_id IN (SELECT id FROM judged)) AS files,
    (SELECT max(finished_at) FROM judged) AS last_finished_at,
    (SELECT extract(epoch FROM avg(finished_at - started_at)) FROM judged)::float8 AS average_s
"""
