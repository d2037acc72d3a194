"""Training runs on Postgres: claimed once in the whole installation, leased to one worker, ended once.

    queued -> running -> promoted | rejected | skipped | failed | cancelled
    running -> queued                      (its worker stopped, or was lost)
    queued -> failed | cancelled

A run belongs to the worker that holds its current `attempt` number while it is `running`; every write of a worker
names both (`core.run_leases`), so one that was given up for dead changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.database import Database, Row
from core.errors import RunNotFound
from core.training import TrainingOptions


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PROMOTED = "promoted"
    REJECTED = "rejected"  # judged, and no better than what serves
    SKIPPED = "skipped"  # nothing in it could be trained
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)


class Trigger(StrEnum):
    THRESHOLD = "threshold"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as it stands. `progress` is what its trainer last said; `reasons` say why it ended as it did."""

    id: int
    state: RunState
    trigger: Trigger
    options: TrainingOptions
    attempt: int
    lost: int
    worker: str | None
    stage: str | None
    parent: int | None
    version: int | None
    progress: Mapping[str, Any]
    scores: Mapping[str, Any] | None
    reasons: Sequence[str]
    notes: Sequence[str]
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One logged step; the held-out loss only where it was measured."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    tokens: int | None = None
    tokens_per_s: float | None = None
    heldout_loss: float | None = None


class RunStore:
    """Everybody's side: claim, read, cancel, repair."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, trigger: Trigger, options: TrainingOptions) -> int | None:
        """The number of a new run, or None while another one is open."""
        rows = self._database.fetch(_CLAIM, {"trigger": trigger.value, "options": options.model_dump_json()})
        return int(rows[0]["id"]) if rows else None

    def get(self, run_id: int) -> Run:
        """Raises RunNotFound."""
        rows = self._database.fetch(f"{_SELECT} WHERE id = %(id)s", {"id": run_id})
        if not rows:
            raise RunNotFound(run_id)
        return _run(rows[0])

    def latest(self, count: int) -> list[Run]:
        """The newest first."""
        return [_run(row) for row in self._database.fetch(f"{_SELECT} ORDER BY id DESC LIMIT %(n)s", {"n": count})]

    def steps(self, run_id: int, *, after: int = 0) -> list[Step]:
        """The curve, in order, beyond step `after`."""
        return [Step(**row) for row in self._database.fetch(_STEPS, {"run_id": run_id, "after": after})]

    def request_cancel(self, run_id: int) -> Run:
        """End a queued run at once, ask the worker of a running one to; a final one stays. Raises RunNotFound."""
        self._database.execute(_CANCEL, {"id": run_id})
        return self.get(run_id)

    def free_files(self) -> None:
        """Give back what failed and cancelled runs had taken, so that it counts as new again."""
        self._database.execute(_FREE)

    def reap(self, *, max_attempts: int) -> list[int]:
        """Queue again, or fail, what vanished workers held; the numbers of these runs."""
        return [int(row["id"]) for row in self._database.fetch(_REAP, {"most": max_attempts})]

    def waiting(self, *, grace_s: float) -> list[int]:
        """Runs queued for longer than `grace_s`."""
        return [int(row["id"]) for row in self._database.fetch(_WAITING, {"grace_s": grace_s})]


def _run(row: Row) -> Run:
    values = dict(row)
    options = TrainingOptions.model_validate_json(values.pop("options"))
    state, trigger = RunState(values.pop("state")), Trigger(values.pop("trigger"))
    return Run(options=options, state=state, trigger=trigger, **values)


_SELECT = """SELECT id, state, trigger, options::text, attempt, lost, worker, stage, parent, version, progress,
    scores, reasons, notes, cancel_requested_at IS NOT NULL AS cancel_requested, created_at, started_at,
    finished_at
FROM training_run"""

_CLAIM = """
INSERT INTO training_run (trigger, options) SELECT %(trigger)s, %(options)s
WHERE NOT EXISTS (SELECT FROM training_run WHERE state IN ('queued', 'running'))
ON CONFLICT ((true)) WHERE state IN ('queued', 'running') DO NOTHING RETURNING id
"""

_STEPS = """
SELECT step, loss, learning_rate, tokens, tokens_per_s, heldout_loss FROM training_step
WHERE run_id = %(run_id)s AND step > %(after)s ORDER BY step
"""

_CANCEL = """
UPDATE training_run
SET cancel_requested_at = coalesce(cancel_requested_at, now()),
    state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
    finished_at = CASE state WHEN 'queued' THEN now() END,
    reasons = CASE state WHEN 'queued' THEN '["cancelled before it began"]' ELSE reasons END
WHERE id = %(id)s AND state IN ('queued', 'running')
"""

_REAP = """
UPDATE training_run
SET lost = lost + 1, lease_until = NULL, worker = NULL,
    state = CASE WHEN lost + 1 >= %(most)s THEN 'failed' ELSE 'queued' END,
    finished_at = CASE WHEN lost + 1 >= %(most)s THEN now() END,
    reasons = CASE WHEN lost + 1 >= %(most)s
        THEN jsonb_build_array(format('lost its worker %%s times: see the log of the training worker', lost + 1))
        ELSE reasons END
WHERE state = 'running' AND lease_until < now() RETURNING id
"""

_WAITING = """
SELECT id FROM training_run WHERE state = 'queued' AND created_at < now() - make_interval(secs => %(grace_s)s)
"""

_FREE = """
UPDATE code_files SET run_id = NULL
WHERE run_id IN (SELECT id FROM training_run WHERE state IN ('failed', 'cancelled'))
"""
