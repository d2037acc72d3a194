"""The reconciler's side of the ledger: find what a crash left behind and make it runnable or final.

Every method is one statement and safe to run at the same time elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from core.database import Database, Row
from core.messages import FailureCode, ModelName, Priority


@dataclass(frozen=True, slots=True)
class Branch:
    """One completion, by name, and how urgent it is."""

    job_id: str
    model: ModelName
    priority: Priority


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
        return [_branch(row) for row in rows if row["state"] == "queued"]

    def end_overdue(self, *, slack_s: float) -> int:
        """End completions whose deadline has passed or whose caller has cancelled.

        Those that wait end at once; those that run, `slack_s` later: their engine should have ended them itself.
        """
        return len(self._database.fetch(_END_OVERDUE, {"slack_s": slack_s}))

    def end_paused(self, models: Collection[ModelName]) -> int:
        """End completions of hybrid jobs that wait for these models, whose cards are lent to a training.

        Only where the other model's text is there, or can still come: a job that would end without any text waits.
        """
        parameters = {
            "models": [str(model) for model in models],
            "code": FailureCode.TRAINING,
            "message": "its model's card is lent to a training (MATHCODE_HYBRID_WHILE_TRAINING is degrade)",
        }
        return len(self._database.fetch(_END_PAUSED, parameters))

    def free_waiting(self) -> list[Branch]:
        """Make runnable what waited for a model that has ended without passing the turn on."""
        return [_branch(row) for row in self._database.fetch(_FREE_WAITING)]

    def unmerged(self) -> list[str]:
        """Open jobs all of whose models have ended."""
        return [row["id"] for row in self._database.fetch(_UNMERGED)]

    def unannounced(
        self, model: ModelName, priority: Priority, *, messages: int, grace_s: float, limit: int = 5000
    ) -> list[Branch]:
        """Waiting completions of one priority whose message is lost; calling this counts as announcing them again.

        Lost are as many of the oldest as the queue holds too few messages (`messages` is how many it holds of this
        priority), and those overtaken by their equals: one that was announced later has been running for a while.
        What is more urgent overtakes by right and says nothing. Completions announced less than `grace_s` ago are
        left alone, their message may be on its way.
        """
        parameters = {
            "model": model,
            "priority": priority,
            "messages": messages,
            "grace_s": grace_s,
            "limit": limit,
        }
        return [_branch(row) for row in self._database.fetch(_UNANNOUNCED, parameters)]


def _branch(row: Row) -> Branch:
    return Branch(row["job_id"], ModelName(row["model"]), Priority(row["priority"]))


_REAP = """
UPDATE completion
SET lost = lost + 1, worker = NULL, lease_until = NULL, queued_at = now(),
    state = CASE WHEN lost + 1 >= %(cap)s THEN 'done' ELSE 'queued' END,
    finished_at = CASE WHEN lost + 1 >= %(cap)s THEN now() END,
    outcome = CASE WHEN lost + 1 >= %(cap)s THEN jsonb_build_object(
        'model', model, 'code', %(code)s::text, 'message', %(message)s::text) END
WHERE state = 'running' AND lease_until < now()
RETURNING job_id::text, model, priority, state
"""

_END_OVERDUE = """
UPDATE completion
SET state = 'done', finished_at = now(), lease_until = NULL, outcome = jsonb_build_object(
    'model', model,
    'code', CASE WHEN job.cancel_requested_at IS NULL THEN 'expired' ELSE 'cancelled' END,
    'message', CASE WHEN job.cancel_requested_at IS NULL THEN 'its deadline passed' ELSE 'it was cancelled' END
        || CASE WHEN completion.state = 'running' THEN ', but its worker went on' ELSE ' before it began' END)
FROM job
WHERE job.id = completion.job_id AND completion.state <> 'done' AND job.state IN ('queued', 'running')
  AND least(job.deadline_at, job.cancel_requested_at)
      < now() - make_interval(secs => CASE WHEN completion.state = 'running' THEN %(slack_s)s ELSE 0 END)
RETURNING completion.job_id
"""

# The mathematics of a sequential job ends although nothing is there yet: the code model waits for it and is free.
_END_PAUSED = """
UPDATE completion
SET state = 'done', finished_at = now(), outcome = jsonb_build_object(
    'model', completion.model, 'code', %(code)s::text, 'message', %(message)s::text)
FROM completion AS other, job
WHERE job.id = completion.job_id AND job.task_type = 'hybrid' AND job.state IN ('queued', 'running')
  AND other.job_id = completion.job_id AND other.model <> completion.model
  AND completion.state = 'queued' AND completion.model = ANY (%(models)s::text[])
  AND ((other.state = 'done' AND other.outcome ? 'finish_reason')
       OR (other.state = 'waiting' AND other.model <> ALL (%(models)s::text[])))
RETURNING completion.job_id
"""

_FREE_WAITING = """
UPDATE completion SET state = 'queued', queued_at = now()
WHERE state = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM completion AS other WHERE other.job_id = completion.job_id
                  AND other.model <> completion.model AND other.state <> 'done')
RETURNING job_id::text, model, priority
"""

_UNMERGED = """
SELECT id::text FROM job
WHERE (state = 'running' OR (state = 'queued' AND (deadline_at < now() OR cancel_requested_at IS NOT NULL)))
  AND NOT EXISTS (SELECT 1 FROM completion WHERE job_id = job.id AND state <> 'done')
"""

_UNANNOUNCED = """
WITH bounds AS (
    SELECT now() - make_interval(secs => %(grace_s)s) AS overdue,
           (SELECT count(*) FROM completion
            WHERE state = 'queued' AND model = %(model)s AND priority = %(priority)s) - %(messages)s AS missing,
           (SELECT max(queued_at) FROM completion
            WHERE state = 'running' AND model = %(model)s AND priority = %(priority)s
            AND started_at < now() - make_interval(secs => %(grace_s)s)) AS served
), lost AS (
    (SELECT job_id FROM completion, bounds
     WHERE state = 'queued' AND model = %(model)s AND priority = %(priority)s AND queued_at < overdue
     ORDER BY queued_at LIMIT (SELECT least(%(limit)s, greatest(0, missing)) FROM bounds))
    UNION
    (SELECT job_id FROM completion, bounds
     WHERE state = 'queued' AND model = %(model)s AND priority = %(priority)s
       AND queued_at < overdue AND queued_at < served
     LIMIT %(limit)s)
)
UPDATE completion SET queued_at = now()
FROM lost WHERE completion.job_id = lost.job_id AND completion.model = %(model)s AND completion.state = 'queued'
RETURNING completion.job_id::text, completion.model, completion.priority
"""
