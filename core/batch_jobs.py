"""The jobs of a batch: inserted many at a time, counted, ended, read line by line.

All of them are held, so that their lanes announce them a window at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from uuid_utils import uuid7

from core.batch_claims import Claim, ClaimLost
from core.database import Database
from core.jobs import JOB_COLUMNS, Job, NewJob, read_job
from core.messages import FailureCode, JobState

SWEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Lines by how they stand; one of several choices has ended when all of them have."""

    completed: int
    failed: int
    open: int


class BatchJobStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def insert_many(self, claim: Claim, news: Sequence[NewJob], *, line: int, position: int) -> None:
        """Accept the jobs of further lines, up to line `line`, after which byte `position` follows.

        The batch's row moves on in the same statement, so each line becomes jobs once, whoever is killed and
        whatever is sent again. Raises ClaimLost.
        """
        before = claim.batch.line
        parameters = {**claim.holder, **_columns(news), "before": before, "line": line, "position": position}
        if not self._database.fetch(_INSERT_MANY, parameters) and claim.renew().line != line:
            raise ClaimLost  # otherwise it was done, and only the answer was lost
        claim.renew()

    def tally(self, batch_uuid: str) -> Tally:
        (row,) = self._database.fetch(_TALLY, {"id": batch_uuid})
        return Tally(**row)

    def sweep(self, batch_uuid: str, *, code: FailureCode, state: JobState, message: str) -> int:
        """End up to SWEPT jobs that nobody has begun; how many are final now."""
        parameters = {"id": batch_uuid, "code": code, "state": state, "message": message, "limit": SWEPT}
        self._database.execute(_END_COMPLETIONS, parameters)
        return len(self._database.fetch(_END_JOBS, parameters))

    def uncancelled(self, batch_uuid: str) -> list[str]:
        """Ids of jobs that are open and were not cancelled."""
        return [row["id"] for row in self._database.fetch(_UNCANCELLED, {"id": batch_uuid, "limit": SWEPT})]

    def of_lines(self, batch_uuid: str, *, first: int, last: int) -> Mapping[int, Sequence[Job]]:
        """The jobs of lines `first` to `last`, by line, in the order of their choices."""
        rows = self._database.fetch(_OF_LINES, {"id": batch_uuid, "first": first, "last": last})
        return {
            line: [read_job(row) for row in found] for line, found in groupby(rows, lambda row: row["batch_line"])
        }


def _columns(news: Sequence[NewJob]) -> dict[str, list[object]]:
    """One list for each column, of jobs and of their completions."""
    ids = [str(uuid7()) for _ in news]
    branches = [
        (job_id, model, "waiting" if model in new.waiting else "held", new.request.priority)
        for job_id, new in zip(ids, news, strict=True)
        for model in new.models
    ]
    return {
        "ids": list(ids),
        "requests": [new.request.model_dump_json() for new in news],
        "routes": [new.route.model_dump_json() for new in news],
        "task_types": [new.route.task_type.value for new in news],
        "strategies": [new.request.strategy.value for new in news],
        "lines": [new.origin.batch_line for new in news],
        "choices": [new.origin.batch_choice for new in news],
        "lanes": [str(new.lane) for new in news],
        "deadlines": [new.deadline_s for new in news],
        "job_ids": [branch[0] for branch in branches],
        "models": [branch[1].value for branch in branches],
        "states": [branch[2] for branch in branches],
        "priorities": [branch[3].value for branch in branches],
    }


_INSERT_MANY = """
WITH moved AS (
    UPDATE batch SET line = %(line)s, position = %(position)s,
        lease_until = now() + make_interval(secs => %(lease_s)s)
    WHERE id = %(id)s AND worker = %(worker)s AND line = %(before)s
      AND state = 'in_progress' AND outcome = 'completed'
    RETURNING id, key_id
), accepted AS (
    INSERT INTO job (id, request, task_type, strategy, route, key_id, batch_id, batch_line, batch_choice, lane,
                     deadline_at, is_held)
    SELECT new.id, new.request::jsonb, new.task_type, new.strategy, new.route::jsonb, moved.key_id, moved.id,
           new.line, new.choice, new.lane, now() + make_interval(secs => new.deadline_s), TRUE
    FROM moved, unnest(
        %(ids)s::uuid[], %(requests)s::text[], %(task_types)s::text[], %(strategies)s::text[], %(routes)s::text[],
        %(lines)s::int[], %(choices)s::int[], %(lanes)s::text[], %(deadlines)s::float8[]
    ) AS new (id, request, task_type, strategy, route, line, choice, lane, deadline_s)
    RETURNING id
), branches AS (
    INSERT INTO completion (job_id, model, state, priority)
    SELECT branch.job_id, branch.model, branch.state, branch.priority
    FROM moved, unnest(
        %(job_ids)s::uuid[], %(models)s::text[], %(states)s::text[], %(priorities)s::text[]
    ) AS branch (job_id, model, state, priority)
)
SELECT id FROM moved
"""

_TALLY = """
SELECT count(*) FILTER (WHERE has_ended AND is_answered) AS completed,
       count(*) FILTER (WHERE has_ended AND NOT is_answered) AS failed,
       count(*) FILTER (WHERE NOT has_ended) AS open
FROM (
    SELECT bool_and(state NOT IN ('queued', 'running')) AS has_ended, bool_and(state = 'succeeded') AS is_answered
    FROM job WHERE batch_id = %(id)s GROUP BY batch_line
) AS line
"""

# Neither of the two waits for a row, so none of those who lock several can wait for them in a circle.
_END_COMPLETIONS = """
UPDATE completion SET state = 'done', finished_at = now(), outcome = jsonb_build_object(
    'model', completion.model, 'code', %(code)s::text, 'message', %(message)s::text)
FROM (
    SELECT other.job_id, other.model FROM completion AS other
    WHERE other.state IN ('held', 'waiting', 'queued') AND other.job_id IN (
        SELECT id FROM job WHERE batch_id = %(id)s AND state = 'queued' LIMIT %(limit)s)
    FOR UPDATE SKIP LOCKED
) AS unbegun
WHERE completion.job_id = unbegun.job_id AND completion.model = unbegun.model
"""

_END_JOBS = """
UPDATE job SET state = %(state)s, finished_at = now(), error = (
    SELECT outcome FROM completion WHERE job_id = job.id ORDER BY model DESC LIMIT 1)
WHERE id IN (
    SELECT id FROM job AS other
    WHERE batch_id = %(id)s AND state = 'queued'
      AND NOT EXISTS (SELECT 1 FROM completion WHERE job_id = other.id AND state <> 'done')
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""

_UNCANCELLED = """
SELECT id::text FROM job
WHERE batch_id = %(id)s AND state IN ('queued', 'running') AND cancel_requested_at IS NULL LIMIT %(limit)s
"""

_OF_LINES = f"""
SELECT batch_line, {JOB_COLUMNS} FROM job
WHERE batch_id = %(id)s AND batch_line BETWEEN %(first)s AND %(last)s ORDER BY batch_line, batch_choice
"""  # noqa: S608
