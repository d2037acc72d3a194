"""A worker's side of the ledger: claim a completion, keep the lease, finish behind the fence.

A completion belongs to the worker that holds its current `attempt` number while it is `running`. Every write names
both, so a worker that was given up for dead cannot overwrite what its successor did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from core.database import Database
from core.jobs import verdict_parameters
from core.lanes import Lane
from core.messages import GenerationRequest, ModelName, Outcome, TaskType, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to generate one completion; `deadline` is in seconds since the epoch."""

    job_id: str
    model: ModelName
    attempt: int
    request: GenerationRequest
    task_type: TaskType
    deadline: float
    lane: Lane
    notes: str | None = None  # the mathematics model's text, in sequential mode


class Refusal(Enum):
    """Why a completion could not be claimed."""

    BUSY = auto()  # another worker holds it, or it waits for the other model
    DONE = auto()  # it has ended, or there is no such completion


@dataclass(frozen=True, slots=True)
class Renewal:
    """A lease that still holds, and whether its caller has asked to cancel."""

    job_id: str
    model: ModelName
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """What a finished completion leaves to do."""

    released: tuple[ModelName, ...]  # models that waited for this one and are queued now
    is_complete: bool  # every model of the job has ended


@dataclass(frozen=True, slots=True)
class JobFinish:
    """What a finished job leaves to do."""

    lane_holds: bool  # its lane holds jobs back


class LeaseStore:
    """Claims on completions.

    `worker` names this process and no other, ever; `lease_s` is how long a silent one keeps what it claimed.
    """

    def __init__(self, database: Database, *, worker: str, lease_s: float) -> None:
        self._database = database
        self._holder = {"worker": worker, "lease_s": lease_s}

    def claim(self, job_id: str, model: ModelName) -> Claim | Refusal:
        rows = self._database.fetch(_CLAIM, {"id": job_id, "model": model, **self._holder})
        if rows:
            row = rows[0]
            return Claim(
                job_id=job_id,
                model=model,
                attempt=row["attempt"],
                request=GenerationRequest.model_validate_json(row["request"]),
                task_type=TaskType(row["task_type"]),
                deadline=float(row["deadline"]),
                lane=Lane.parse(row["lane"]),
                notes=row["notes"],
            )
        busy = self._database.fetch(_IS_OPEN, {"id": job_id, "model": model})
        return Refusal.BUSY if busy else Refusal.DONE

    def renew(self, claims: Sequence[Claim]) -> list[Renewal]:
        """Extend these leases; those missing from the result are lost."""
        parameters = {
            "ids": [claim.job_id for claim in claims],
            "models": [str(claim.model) for claim in claims],
            "attempts": [claim.attempt for claim in claims],
            **self._holder,
        }
        rows = self._database.fetch(_RENEW, parameters)
        return [Renewal(row["job_id"], ModelName(row["model"]), row["cancelled"]) for row in rows]

    def release(self, claim: Claim) -> bool:
        """Hand the completion back unfinished; it does not count as lost."""
        return bool(self._database.fetch(_RELEASE, self._fence(claim)))

    def finish(self, claim: Claim, outcome: Outcome) -> Finish | None:
        """Record what one of several models gave; None if the claim was lost."""
        rows = self._database.fetch(_FINISH, {**self._fence(claim), "outcome": outcome.model_dump_json()})
        if not rows:
            return None
        return Finish(tuple(ModelName(m) for m in rows[0]["released"]), rows[0]["open"] == 0)

    def finish_job(self, claim: Claim, outcome: Outcome, verdict: Verdict) -> JobFinish | None:
        """Record the only model's outcome and close its job in one step; None if the claim was lost."""
        parameters = {**self._fence(claim), "outcome": outcome.model_dump_json(), **verdict_parameters(verdict)}
        rows = self._database.fetch(_FINISH_JOB, parameters)
        return JobFinish(rows[0]["lane_holds"]) if rows else None

    def _fence(self, claim: Claim) -> dict[str, object]:
        return {"id": claim.job_id, "model": claim.model, "attempt": claim.attempt, **self._holder}


# A claim need not survive a crash of the database, so its commit does not wait for the disk: should it be lost,
# the completion is queued again and the fence refuses what its former holder writes.
# Lock order everywhere: completion rows first, the job row after; so no two statements wait for each other.
_CLAIM = """
WITH claimed AS (
    UPDATE completion
    SET state = 'running', attempt = attempt + 1, worker = %(worker)s, started_at = now(),
        lease_until = now() + make_interval(secs => %(lease_s)s)
    FROM job
    WHERE completion.job_id = %(id)s AND completion.model = %(model)s AND completion.state = 'queued'
      AND job.id = completion.job_id AND job.state IN ('queued', 'running') AND job.cancel_requested_at IS NULL
    RETURNING completion.job_id, completion.model, completion.attempt,
              job.request::text, job.task_type, job.strategy, job.lane,
              extract(epoch FROM job.deadline_at) AS deadline
), begun AS (
    UPDATE job SET state = 'running', started_at = now()
    FROM claimed WHERE job.id = claimed.job_id AND job.state = 'queued'
)
SELECT attempt, request, task_type, deadline, lane,
       CASE WHEN strategy = 'sequential' AND model = 'codestral'
            THEN (SELECT outcome ->> 'text' FROM completion
                  WHERE job_id = claimed.job_id AND model = 'mathstral' AND outcome ? 'finish_reason')
       END AS notes
FROM claimed, (SELECT set_config('synchronous_commit', 'off', TRUE)) AS relaxed
"""

_IS_OPEN = """
SELECT 1 FROM completion WHERE job_id = %(id)s AND model = %(model)s AND state <> 'done'
"""

_RENEW = """
UPDATE completion SET lease_until = now() + make_interval(secs => %(lease_s)s)
FROM unnest(%(ids)s::uuid[], %(models)s::text[], %(attempts)s::int[]) AS held (job_id, model, attempt)
JOIN job ON job.id = held.job_id
WHERE completion.job_id = held.job_id AND completion.model = held.model AND completion.attempt = held.attempt
  AND completion.worker = %(worker)s AND completion.state = 'running'
RETURNING completion.job_id::text, completion.model, job.cancel_requested_at IS NOT NULL AS cancelled
"""

# The worker is part of the fence: a claim lost with the database's last moments leaves its number to the next one.
_MINE = """job_id = %(id)s AND model = %(model)s AND attempt = %(attempt)s AND worker = %(worker)s
  AND state = 'running'"""

_RELEASE = f"""
UPDATE completion SET state = 'queued', queued_at = now(), worker = NULL, lease_until = NULL
WHERE {_MINE}
RETURNING job_id
"""  # noqa: S608

_FINISHED = f"""
UPDATE completion SET state = 'done', outcome = %(outcome)s, finished_at = now(), lease_until = NULL
WHERE {_MINE}
RETURNING job_id, model
"""  # noqa: S608

_FINISH = f"""
WITH finished AS ({_FINISHED}), freed AS (
    UPDATE completion SET state = 'queued', queued_at = now()
    FROM finished WHERE completion.job_id = finished.job_id AND completion.state = 'waiting'
    RETURNING completion.model
)
SELECT (SELECT count(*) FROM completion
        WHERE completion.job_id = finished.job_id AND completion.model <> finished.model
          AND completion.state <> 'done') AS open,
       ARRAY(SELECT model FROM freed) AS released
FROM finished
"""  # noqa: S608

_FINISH_JOB = f"""
WITH finished AS ({_FINISHED})
UPDATE job SET state = %(state)s, answer = %(answer)s, error = %(error)s, finished_at = now()
FROM finished WHERE job.id = finished.job_id AND job.state IN ('queued', 'running')
RETURNING EXISTS (SELECT 1 FROM job AS other
                  WHERE other.lane = job.lane AND other.state = 'queued' AND other.is_held) AS lane_holds
"""  # noqa: S608
