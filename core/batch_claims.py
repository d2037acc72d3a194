"""The light worker's side of batches: claim one, take it from state to state, let it go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from uuid_utils import uuid7

from core.batches import BATCH_COLUMNS, Batch, BatchState, read_batch
from core.database import Database


class ClaimLost(Exception):
    """Another worker has the batch, or it was cancelled: what comes next is to be read from its row."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """The ledger's id of a batch, and whose it is."""

    uuid: str
    key_id: str | None


class ClaimStore:
    """Which open batches there are, and claims on them that last `lease_s` seconds unless renewed."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    def open(self) -> list[OpenBatch]:
        """All that have not ended: of each key the oldest, then of each key the second, and so on."""
        return [OpenBatch(row["id"], row["key_id"]) for row in self._database.fetch(_OPEN)]

    def cancel_revoked(self) -> None:
        """Have all open batches of revoked keys end, as if their callers had cancelled them."""
        self._database.execute(_CANCEL_REVOKED)

    def claim(self, uuid: str) -> Claim | None:
        """None where another worker has it, or it has ended."""
        parameters = {"id": uuid, "worker": str(uuid7()), "lease_s": self._lease_s}
        rows = self._database.fetch(_CLAIM, parameters)
        return Claim(self._database, read_batch(rows[0]), parameters) if rows else None


class Claim:
    """The right to advance one batch; every method but `release` raises ClaimLost. `batch` is as last read."""

    def __init__(self, database: Database, batch: Batch, holder: Mapping[str, Any]) -> None:
        self._database = database
        self.batch = batch
        self.holder = holder  # the parameters `id`, `worker` and `lease_s` of every write

    def renew(self) -> Batch:
        """Keep the claim, and read the batch."""
        return self._change("id = id")

    def begin(self, total: int) -> Batch:
        """All `total` lines are in order."""
        return self._change(
            "state = 'in_progress', in_progress_at = now(), total = %(total)s", "state = 'validating'", total=total
        )

    def fail(self, errors: Sequence[Mapping[str, Any]]) -> None:
        """No line is asked, and these are why."""
        changes = "state = 'failed', failed_at = now(), errors = %(errors)s, worker = NULL, lease_until = NULL"
        self._end(f"{_ENDED.format(changes=changes)} AND state = 'validating'", errors=json.dumps(list(errors)))
        self.batch = replace(self.batch, state=BatchState.FAILED)

    def count(self, *, completed: int, failed: int) -> Batch:
        """How many lines have ended until now."""
        return self._change("completed = %(completed)s, failed = %(failed)s", completed=completed, failed=failed)

    def enqueued(self) -> Batch:
        """Every line has become jobs."""
        return self._change("is_enqueued = TRUE", "state = 'in_progress'")

    def expire(self) -> Batch:
        """No further line is asked, and those that were shall end."""
        return self._change("outcome = 'expired'", "state IN ('validating', 'in_progress')")

    def finalize(self) -> Batch:
        """Every line has ended: write the files."""
        return self._change(
            "state = 'finalizing', finalizing_at = now()", "state IN ('validating', 'in_progress')"
        )

    def end(self, *, completed: int, failed: int, output: str | None, error_file: str | None) -> None:
        """Give it its final state; `output` and `error_file` are the ledger's ids of its files."""
        outcome = self.batch.outcome
        changes = f"""state = outcome, {outcome}_at = now(), worker = NULL, lease_until = NULL,
            completed = %(completed)s, failed = %(failed)s, output_file_id = %(output)s,
            error_file_id = %(error_file)s"""
        fenced = (
            f"{_ENDED.format(changes=changes)} AND state IN ('finalizing', 'cancelling') AND outcome = %(outcome)s"
        )
        self._end(
            fenced, completed=completed, failed=failed, output=output, error_file=error_file, outcome=outcome
        )

    def release(self) -> None:
        """Let others go on; nothing happens where the claim is lost."""
        self._database.execute(_RELEASE, self.holder)

    def _change(self, changes: str, condition: str = "TRUE", **parameters: Any) -> Batch:
        sql = _CHANGE.format(changes=changes, condition=condition, columns=BATCH_COLUMNS)
        rows = self._database.fetch(sql, {**self.holder, **parameters})
        if not rows:
            raise ClaimLost
        self.batch = read_batch(rows[0])
        return self.batch

    def _end(self, ended: str, **parameters: Any) -> None:
        """In one step with its file, which is not in use any more."""
        sql = f"WITH ended AS ({ended} RETURNING id, input_file_id), {_FREED}"
        if self._database.fetch(sql, {**self.holder, **parameters}):
            return
        files = {"output": parameters.get("output"), "error_file": parameters.get("error_file")}
        if not self._database.fetch(_IS_ENDED, {**self.holder, **files}):  # else it was this, sent again
            raise ClaimLost


_IS_OPEN = "state IN ('validating', 'in_progress', 'finalizing', 'cancelling')"

_OPEN = f"""
SELECT id::text, key_id FROM batch WHERE {_IS_OPEN}
ORDER BY row_number() OVER (PARTITION BY key_id ORDER BY batch.id), batch.id
"""  # noqa: S608

_CANCEL_REVOKED = """
UPDATE batch SET state = 'cancelling', outcome = 'cancelled', cancelling_at = now()
FROM api_key
WHERE api_key.id = batch.key_id AND api_key.revoked_at IS NOT NULL AND batch.state IN ('validating', 'in_progress')
"""

_CLAIM = f"""
UPDATE batch SET worker = %(worker)s, lease_until = now() + make_interval(secs => %(lease_s)s)
WHERE id = %(id)s AND {_IS_OPEN} AND (worker IS NULL OR lease_until < now() OR worker = %(worker)s)
RETURNING {BATCH_COLUMNS}
"""  # noqa: S608

_CHANGE = """
UPDATE batch SET lease_until = now() + make_interval(secs => %(lease_s)s), {changes}
WHERE id = %(id)s AND worker = %(worker)s AND {condition}
RETURNING {columns}
"""

_ENDED = "UPDATE batch SET {changes} WHERE id = %(id)s AND worker = %(worker)s"

_FREED = """freed AS (
    UPDATE file SET uses = uses - 1 FROM ended WHERE file.id = ended.input_file_id
) SELECT id FROM ended"""

_RELEASE = "UPDATE batch SET worker = NULL, lease_until = NULL WHERE id = %(id)s AND worker = %(worker)s"

_IS_ENDED = f"""
SELECT 1 FROM batch
WHERE id = %(id)s AND NOT {_IS_OPEN} AND output_file_id IS NOT DISTINCT FROM %(output)s::uuid
  AND error_file_id IS NOT DISTINCT FROM %(error_file)s::uuid
"""  # noqa: S608
