"""The reconciler's side of the ledger: find what a crash left behind and make it runnable or final.

Every method is one statement and safe to run at the same time elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.database import Database
from core.messages import FailureCode, ModelName


@dataclass(frozen=True, slots=True)
class Branch:
    """One completion, by name."""

    job_id: str
    model: ModelName


class RepairStore:
    def __init__(self, database: Database, *, max_attempts: int) -> None:
        self._database = database
        self._max_attempts = max_attempts

    def reap(self) -> list[Branch]:
        """Take completions from silent workers; those returned are runnable again, the others are dead."""
        parameters = {
            "cap": self._max_attempts,
            "code": FailureCode.DEAD,
            "message": f"its worker was lost {self._max_attempts} times (the limit is MATHCODE_MAX_ATTEMPTS)",
        }
        rows = self._database.fetch(_REAP, parameters)
        return [Branch(row["job_id"], ModelName(row["model"])) for row in rows if row["state"] == "queued"]

    def end_unstarted(self) -> int:
        """End waiting completions whose deadline has passed or whose caller has cancelled."""
        return len(self._database.fetch(_END_UNSTARTED))

    def free_waiting(self) -> list[Branch]:
        """Make runnable what waited for a model that has ended without passing the turn on."""
        return [Branch(row["job_id"], ModelName(row["model"])) for row in self._database.fetch(_FREE_WAITING)]

    def unmerged(self) -> list[str]:
        """Open jobs all of whose models have ended."""
        return [row["id"] for row in self._database.fetch(_UNMERGED)]

    def unannounced(self, model: ModelName, *, messages: int, grace_s: float, limit: int = 5000) -> list[Branch]:
        """The oldest waiting completions for which the queue holds too few messages.

        `messages` is the queue's length. Completions younger than `grace_s` are left alone: their message may be
        on its way.
        """
        parameters = {"model": model, "messages": messages, "grace_s": grace_s, "limit": limit}
        return [Branch(row["job_id"], model) for row in self._database.fetch(_UNANNOUNCED, parameters)]


_REAP = """
UPDATE completion
SET lost = lost + 1, worker = NULL, lease_until = NULL, queued_at = now(),
    state = CASE WHEN lost + 1 >= %(cap)s THEN 'done' ELSE 'queued' END,
    finished_at = CASE WHEN lost + 1 >= %(cap)s THEN now() END,
    outcome = CASE WHEN lost + 1 >= %(cap)s THEN jsonb_build_object(
        'model', model, 'code', %(code)s::text, 'message', %(message)s::text) END
WHERE state = 'running' AND lease_until < now()
RETURNING job_id::text, model, state
"""

_END_UNSTARTED = """
UPDATE completion
SET state = 'done', finished_at = now(), outcome = jsonb_build_object(
    'model', model,
    'code', CASE WHEN job.cancel_requested_at IS NULL THEN 'expired' ELSE 'cancelled' END,
    'message', CASE WHEN job.cancel_requested_at IS NULL
               THEN 'its deadline passed before a worker was free' ELSE 'cancelled before it began' END)
FROM job
WHERE job.id = completion.job_id AND completion.state IN ('waiting', 'queued')
  AND job.state IN ('queued', 'running') AND (job.deadline_at < now() OR job.cancel_requested_at IS NOT NULL)
RETURNING completion.job_id
"""

_FREE_WAITING = """
UPDATE completion SET state = 'queued', queued_at = now()
WHERE state = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM completion AS other WHERE other.job_id = completion.job_id
                  AND other.model <> completion.model AND other.state <> 'done')
RETURNING job_id::text, model
"""

_UNMERGED = """
SELECT id::text FROM job
WHERE (state = 'running' OR (state = 'queued' AND (deadline_at < now() OR cancel_requested_at IS NOT NULL)))
  AND NOT EXISTS (SELECT 1 FROM completion WHERE job_id = job.id AND state <> 'done')
"""

_UNANNOUNCED = """
WITH overdue AS (
    SELECT job_id::text, queued_at FROM completion
    WHERE state = 'queued' AND model = %(model)s AND queued_at < now() - make_interval(secs => %(grace_s)s)
)
SELECT job_id FROM overdue ORDER BY queued_at
LIMIT least(%(limit)s, greatest(0, (SELECT count(*) FROM overdue) - %(messages)s))
"""
