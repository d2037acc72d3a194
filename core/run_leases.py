"""A worker's side of a training run: begin, renew, report, end, behind the fence of its attempt number."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.database import Database
from core.training_runs import RunState, Step

MOST_NOTES = 200


@dataclass(frozen=True, slots=True)
class RunClaim:
    """The right to work on one run."""

    run_id: int
    attempt: int


class RunLease:
    """A worker's side: begin, renew, report, end. What returns False has found the run to be another's."""

    def __init__(self, database: Database, *, worker: str, lease_s: float) -> None:
        self._database = database
        self._worker = worker
        self._lease_s = lease_s

    def begin(self, run_id: int) -> RunClaim | None:
        """Take a run that is queued, or whose worker has been silent for longer than its lease."""
        parameters = {"id": run_id, "worker": self._worker, "lease_s": self._lease_s}
        rows = self._database.fetch(_BEGIN, parameters)
        return RunClaim(run_id, int(rows[0]["attempt"])) if rows else None

    def renew(self, claim: RunClaim) -> bool | None:
        """Whether the run shall go on (False: it was cancelled); None if it is another's now."""
        rows = self._database.fetch(_RENEW, self._fence(claim, lease_s=self._lease_s))
        return None if not rows else not rows[0]["cancelled"]

    def report(self, claim: RunClaim, *, stage: str, progress: Mapping[str, Any]) -> bool:
        """Say what the run is at; of `progress`, what is not said again stays."""
        return self._write(_REPORT, claim, stage=stage, progress=_stored(progress))

    def note(self, claim: RunClaim, message: str) -> bool:
        """Keep a sentence about what happened on the way; the same one again and again is kept once."""
        return self._write(_NOTE, claim, note=_stored([message]), most=MOST_NOTES)

    def log_steps(self, claim: RunClaim, steps: Sequence[Step]) -> bool:
        """Add to the curve; a step that is there already is written over, a measured held-out loss kept."""
        return self._write(_LOG, claim, steps=_stored([asdict(step) for step in steps]))

    def finish(
        self,
        claim: RunClaim,
        state: RunState,
        *,
        reasons: Sequence[str],
        scores: str | None = None,
        version: int | None = None,
    ) -> bool:
        """End the run, with sentences that say why."""
        return self._write(
            _FINISH, claim, state=state.value, reasons=_stored(list(reasons)), scores=scores, version=version
        )

    def hand_back(self, claim: RunClaim) -> bool:
        """Queue the run again: this process is stopping, another one goes on with it."""
        return self._write(_HAND_BACK, claim)

    def _write(self, sql: str, claim: RunClaim, **parameters: Any) -> bool:
        return bool(self._database.fetch(sql, self._fence(claim, **parameters)))

    def _fence(self, claim: RunClaim, **parameters: Any) -> dict[str, Any]:
        return {"id": claim.run_id, "attempt": claim.attempt, **parameters}


def _stored(value: Any) -> str:
    """JSON that PostgreSQL takes, whatever a process that broke has said: `jsonb` knows no NaN and no NUL."""
    return json.dumps(_storable(value))


def _storable(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="replace").decode().replace("\0", "\ufffd")
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _storable(each) for key, each in value.items()}
        case list() | tuple():
            return [_storable(each) for each in value]
    return value


_BEGIN = """
UPDATE training_run
SET state = 'running', attempt = attempt + 1, worker = %(worker)s,
    lease_until = now() + make_interval(secs => %(lease_s)s), started_at = coalesce(started_at, now())
WHERE id = %(id)s AND (state = 'queued' OR (state = 'running' AND lease_until < now())) RETURNING attempt
"""

_MINE = "WHERE id = %(id)s AND attempt = %(attempt)s AND state = 'running'"

_RENEW = f"""
UPDATE training_run SET lease_until = now() + make_interval(secs => %(lease_s)s)
{_MINE} RETURNING cancel_requested_at IS NOT NULL AS cancelled
"""  # noqa: S608  the inserted part is a constant

_REPORT = f"UPDATE training_run SET stage = %(stage)s, progress = progress || %(progress)s {_MINE} RETURNING id"  # noqa: S608

_NOTE = f"""
UPDATE training_run
SET notes = CASE WHEN jsonb_array_length(notes) < %(most)s AND notes -> -1 IS DISTINCT FROM %(note)s::jsonb -> 0
    THEN notes || %(note)s::jsonb ELSE notes END
{_MINE} RETURNING id
"""  # noqa: S608  the inserted part is a constant

_LOG = f"""
WITH mine AS (SELECT id FROM training_run {_MINE}),
logged AS (
    INSERT INTO training_step (run_id, step, loss, learning_rate, tokens, tokens_per_s, heldout_loss)
    SELECT mine.id, s.step, s.loss, s.learning_rate, s.tokens, s.tokens_per_s, s.heldout_loss
    FROM mine, jsonb_to_recordset(%(steps)s) AS s (step integer, loss double precision, tokens bigint,
        learning_rate double precision, tokens_per_s double precision, heldout_loss double precision)
    ON CONFLICT (run_id, step) DO UPDATE
    SET loss = coalesce(excluded.loss, training_step.loss),
        learning_rate = coalesce(excluded.learning_rate, training_step.learning_rate),
        tokens = coalesce(excluded.tokens, training_step.tokens),
        tokens_per_s = coalesce(excluded.tokens_per_s, training_step.tokens_per_s),
        heldout_loss = coalesce(excluded.heldout_loss, training_step.heldout_loss), recorded_at = now()
)
SELECT id FROM mine
"""  # noqa: S608  the inserted part is a constant

_FINISH = f"""
UPDATE training_run
SET state = %(state)s, reasons = %(reasons)s, scores = coalesce(%(scores)s::jsonb, scores),
    version = coalesce(%(version)s, version), finished_at = now(), lease_until = NULL
{_MINE} RETURNING id
"""  # noqa: S608  the inserted part is a constant

_HAND_BACK = f"UPDATE training_run SET state = 'queued', lease_until = NULL, worker = NULL {_MINE} RETURNING id"  # noqa: S608
