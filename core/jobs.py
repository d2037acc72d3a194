"""Jobs as callers see them, on Postgres: accepted, read, listed, cancelled.

The row is the truth about a job and is written before anything is published. What workers do to it (claim, renew,
finish) is in `core.leases`; what the reconciler does, in `core.repairs`.

    queued -> running -> succeeded | failed | dead | cancelled | expired
    queued -> cancelled | expired                    (nobody had begun)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from pydantic import TypeAdapter
from uuid_utils import uuid7

from core.database import Database, Row
from core.errors import JobNotFound
from core.idempotency import Once
from core.job_statements import INSERT, INSERT_ONCE
from core.lanes import Lane
from core.messages import (
    Answer,
    Failure,
    FailureCode,
    GenerationRequest,
    JobState,
    ModelName,
    Outcome,
    Route,
    Verdict,
)

OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)

_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HEAD = 200

_SUMMARIES = """SELECT id::text, state, task_type, left(request ->> 'prompt', %(head)s) AS prompt,
    created_at, finished_at FROM job"""

_STATES = "SELECT id::text, state FROM job WHERE id = ANY(%(ids)s::uuid[])"

JOB_COLUMNS = """id::text, state, request::text, route::text, answer::text, error::text, created_at, started_at,
    finished_at, deadline_at, cancel_requested_at, is_held, key_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a job comes from: whose key, which line of which batch; and the URL that is told how it ended."""

    key_id: str | None = None
    batch_id: str | None = None
    batch_line: int | None = None
    batch_choice: int | None = None
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job about to be accepted; `waiting` models start only when another one's text is there."""

    request: GenerationRequest
    route: Route
    models: tuple[ModelName, ...]
    waiting: frozenset[ModelName]
    deadline_s: float
    window: int  # how many of its lane may be announced; beyond, it is held
    origin: Origin = Origin()

    @property
    def lane(self) -> Lane:
        priority = self.request.priority
        return Lane(key_id=self.origin.key_id, task_type=self.route.task_type, priority=priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it stands in the ledger."""

    id: str
    state: JobState
    request: GenerationRequest
    route: Route
    created_at: datetime
    deadline_at: datetime
    is_held: bool = False  # not announced yet: its lane is full
    key_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    answer: Answer | None = None
    error: Failure | None = None

    @property
    def lane(self) -> Lane:
        return Lane(key_id=self.key_id, task_type=self.route.task_type, priority=self.request.priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """One job in a list: its prompt is cut to HEAD characters, its answer left out."""

    id: str
    state: JobState
    task_type: str
    prompt: str
    created_at: datetime
    finished_at: datetime | None


class JobStore:
    """The ledger's front: what the API and the merge task need."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, new: NewJob) -> Job:
        """Accept a job; after this returns, it is never lost."""
        parameters = {"id": str(uuid7()), **_insert_parameters(new)}
        (row,) = self._database.fetch(INSERT, parameters)
        return _accepted(new, row)

    def insert_once(self, new: NewJob, once: Once) -> Job | None:
        """Accept a job under an idempotency key, in one step; None, with nothing stored, if the key is taken."""
        parameters = {"id": str(uuid7()), **asdict(once), **_insert_parameters(new)}
        rows = self._database.fetch(INSERT_ONCE, parameters)
        return _accepted(new, rows[0]) if rows else None

    def check_owner(self, job_id: str, key_id: str) -> None:
        """Raise JobNotFound unless the job exists and is this key's."""
        sql = "SELECT 1 FROM job WHERE id = %(id)s AND key_id = %(key_id)s"
        if not self._database.fetch(sql, {"id": parse_id(job_id), "key_id": key_id}):
            raise JobNotFound(job_id)

    def get(self, job_id: str) -> Job:
        """The job, or JobNotFound, also for what is not an id at all."""
        rows = self._database.fetch(
            f"SELECT {JOB_COLUMNS} FROM job WHERE id = %(id)s",  # noqa: S608
            {"id": parse_id(job_id)},
        )
        if not rows:
            raise JobNotFound(job_id)
        return read_job(rows[0])

    def state(self, job_id: str) -> JobState:
        """Only where the job stands; JobNotFound as for `get`."""
        rows = self._database.fetch("SELECT state FROM job WHERE id = %(id)s", {"id": parse_id(job_id)})
        if not rows:
            raise JobNotFound(job_id)
        return JobState(rows[0]["state"])

    def final_states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Of those among `job_ids` that have ended; what is not there any more counts as cancelled."""
        rows = self._database.fetch(_STATES, {"ids": list(job_ids)})
        states = dict.fromkeys(job_ids, JobState.CANCELLED) | {row["id"]: JobState(row["state"]) for row in rows}
        return {job_id: state for job_id, state in states.items() if state.is_final}

    def page(
        self, *, state: JobState | None, after: str | None, limit: int, owner: str | None = None
    ) -> list[JobSummary]:
        """Jobs, newest first, beginning after (older than) the id `after`; of the key `owner` alone, if given."""
        conditions = ["TRUE"] + ["state = %(state)s"] * bool(state) + ["id < %(after)s"] * bool(after)
        conditions += ["key_id = %(owner)s"] * bool(owner)
        sql = f"{_SUMMARIES} WHERE {' AND '.join(conditions)} ORDER BY job.id DESC LIMIT %(limit)s"
        parameters = {"state": state, "owner": owner, "limit": limit, "head": HEAD}
        rows = self._database.fetch(
            sql, {"after": parse_id(after, param="after") if after else None, **parameters}
        )
        return [JobSummary(**{**row, "state": JobState(row["state"])}) for row in rows]

    def request_cancel(self, job_id: str) -> None:
        """Persist the wish and end what no worker has begun. JobNotFound if there is no such job."""
        job_id = parse_id(job_id)
        if not self._database.fetch(_FLAG_CANCEL, {"id": job_id}):
            self.state(job_id)  # raises if it does not exist; a finished job stays as it is
            return
        self._database.execute(
            _CANCEL_UNSTARTED,
            {"id": job_id, "code": FailureCode.CANCELLED, "message": "cancelled before it began"},
        )

    def outcomes(self, job_id: str) -> list[Outcome] | None:
        """What each model gave, or None while one of them has not ended (or there is no such open job)."""
        rows = self._database.fetch(_OUTCOMES, {"id": job_id})
        if not rows or any(row["outcome"] is None for row in rows):
            return None
        return [OUTCOME.validate_json(row["outcome"]) for row in rows]

    def close(self, job_id: str, verdict: Verdict) -> bool:
        """Give the job its final state; False if another did so before."""
        return bool(self._database.fetch(_CLOSE, {"id": job_id, **verdict_parameters(verdict)}))


def parse_id(job_id: str, *, param: str = "id") -> str:
    """The id if it has the one form this system writes, or JobNotFound."""
    if not _ID.fullmatch(job_id):
        raise JobNotFound(job_id, param=param)
    return job_id


def verdict_parameters(verdict: Verdict) -> dict[str, str | None]:
    return {
        "state": verdict.state,
        "answer": verdict.answer.model_dump_json() if verdict.answer else None,
        "error": verdict.error.model_dump_json() if verdict.error else None,
    }


def _insert_parameters(new: NewJob) -> dict[str, object]:
    return {
        "request": new.request.model_dump_json(),
        "route": new.route.model_dump_json(),
        "task_type": new.route.task_type,
        "strategy": new.request.strategy,
        "priority": new.request.priority,
        "deadline_s": new.deadline_s,
        "models": list(new.models),
        "states": ["waiting" if model in new.waiting else "queued" for model in new.models],
        "lane": str(new.lane),
        "window": new.window,
        "key_id": new.origin.key_id,
        "batch_id": new.origin.batch_id,
        "batch_line": new.origin.batch_line,
        "webhook_url": new.origin.webhook_url,
    }


def _accepted(new: NewJob, row: Row) -> Job:
    origin = new.origin
    return Job(state=JobState.QUEUED, request=new.request, route=new.route, key_id=origin.key_id, **row)


def read_job(row: Row) -> Job:
    """A row of JOB_COLUMNS."""
    return Job(
        id=row["id"],
        state=JobState(row["state"]),
        request=GenerationRequest.model_validate_json(row["request"]),
        route=Route.model_validate_json(row["route"]),
        answer=Answer.model_validate_json(row["answer"]) if row["answer"] else None,
        error=Failure.model_validate_json(row["error"]) if row["error"] else None,
        is_held=row["is_held"],
        key_id=row["key_id"],
        **{name: row[name] for name in _TIMES},
    )


_TIMES: Sequence[str] = ("created_at", "started_at", "finished_at", "deadline_at", "cancel_requested_at")

_FLAG_CANCEL = """
UPDATE job SET cancel_requested_at = coalesce(cancel_requested_at, now())
WHERE id = %(id)s AND state IN ('queued', 'running')
RETURNING id
"""

_CANCEL_UNSTARTED = """
UPDATE completion
SET state = 'done', finished_at = now(),
    outcome = jsonb_build_object('model', model, 'code', %(code)s::text, 'message', %(message)s::text)
WHERE job_id = %(id)s AND state IN ('held', 'waiting', 'queued')
"""

_OUTCOMES = """
SELECT completion.outcome::text
FROM completion JOIN job ON job.id = completion.job_id
WHERE job.id = %(id)s AND job.state IN ('queued', 'running')
"""

_CLOSE = """
UPDATE job SET state = %(state)s, answer = %(answer)s, error = %(error)s, finished_at = now()
WHERE id = %(id)s AND state IN ('queued', 'running')
RETURNING id
"""
