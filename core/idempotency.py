"""Idempotency keys: the same key and the same body are the same job, for a day, within one API key."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from core.database import Database
from core.errors import IdempotencyConflict

KEPT_H = 24
PRUNED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A caller's Idempotency-Key; `fingerprint` is of what was asked, `part` counts the jobs of one request."""

    scope: str
    key: str
    fingerprint: bytes
    part: int = 0


class IdempotencyStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, once: Once) -> str | None:
        """The id of the job this key stands for. Raises IdempotencyConflict if that was asked otherwise."""
        rows = self._database.fetch(_FIND, asdict(once))
        if not rows:
            return None
        if bytes(rows[0]["fingerprint"]) != once.fingerprint:
            raise IdempotencyConflict(
                "this Idempotency-Key was used with another body in the last 24 hours: send a new key",
                param="Idempotency-Key",
            )
        return str(rows[0]["job_id"])

    def prune(self) -> None:
        """Forget some of what is too old to mean anything."""
        self._database.execute(_PRUNE, {"limit": PRUNED_AT_ONCE})


_FRESH = f"created_at > now() - interval '{KEPT_H} hours'"

CLAIM = f"""claimed AS (
    INSERT INTO idempotency (scope, key, part, fingerprint, job_id)
    VALUES (%(scope)s, %(key)s, %(part)s, %(fingerprint)s, %(id)s)
    ON CONFLICT (scope, key, part) DO UPDATE
    SET fingerprint = excluded.fingerprint, job_id = excluded.job_id, created_at = now()
    WHERE NOT idempotency.{_FRESH} OR idempotency.job_id = excluded.job_id
    RETURNING job_id
)"""  # noqa: S608
"""Names the job that is being inserted; gives no row while the key stands for another one.

Who comes second waits for the first to commit. The job's row follows in the same statement.
"""

_FIND = f"""
SELECT job_id::text, fingerprint FROM idempotency
WHERE scope = %(scope)s AND key = %(key)s AND part = %(part)s AND {_FRESH}
"""  # noqa: S608

_PRUNE = f"""
DELETE FROM idempotency WHERE (scope, key, part) IN (
    SELECT scope, key, part FROM idempotency WHERE NOT {_FRESH} ORDER BY created_at LIMIT %(limit)s)
"""  # noqa: S608
