"""Idempotency keys: the same key and body are the same job, batch or file, for a day, within one API key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from core.database import Database, Row
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
        return _same(self._database.fetch(_FIND, asdict(once)), once)

    def find_batch(self, once: Once) -> str | None:
        """As `find`, of a batch."""
        return _same(self._database.fetch(_FIND_BATCH, asdict(once)), once)

    def find_file(self, once: Once) -> str | None:
        """As `find`, of a file."""
        return _same(self._database.fetch(_FIND_FILE, asdict(once)), once)

    def prune(self) -> None:
        """Forget some of what is too old to mean anything."""
        for statement in (_PRUNE, _prune("batch_key"), _prune("file_key")):
            self._database.execute(statement, {"limit": PRUNED_AT_ONCE})


def _same(rows: Sequence[Row], once: Once) -> str | None:
    if not rows:
        return None
    if bytes(rows[0]["fingerprint"]) != once.fingerprint:
        raise IdempotencyConflict(
            "this Idempotency-Key was used with another body in the last 24 hours: send a new key",
            param="Idempotency-Key",
        )
    return str(rows[0]["id"])


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

CLAIM_BATCH = f"""claimed AS (
    INSERT INTO batch_key (scope, key, fingerprint, batch_id)
    SELECT %(scope)s, %(key)s, %(fingerprint)s, %(id)s FROM held
    ON CONFLICT (scope, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, batch_id = excluded.batch_id, created_at = now()
    WHERE NOT batch_key.{_FRESH}
    RETURNING batch_id
)"""  # noqa: S608
"""As CLAIM, of a batch whose file is `held`."""

CLAIM_FILE = f"""claimed AS (
    INSERT INTO file_key (scope, key, fingerprint, file_id)
    SELECT %(scope)s, %(key)s, %(fingerprint)s, id FROM file WHERE id = %(id)s
    ON CONFLICT (scope, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, file_id = excluded.file_id, created_at = now()
    WHERE NOT file_key.{_FRESH} OR file_key.file_id = excluded.file_id
    RETURNING file_id
)"""  # noqa: S608
"""As CLAIM, of a file that is being finished."""

_FIND = f"""
SELECT job_id::text AS id, fingerprint FROM idempotency
WHERE scope = %(scope)s AND key = %(key)s AND part = %(part)s AND {_FRESH}
"""  # noqa: S608


def _find(table: str, column: str) -> str:
    return f"""
SELECT {column}::text AS id, fingerprint FROM {table}
WHERE scope = %(scope)s AND key = %(key)s AND {_FRESH}
"""  # noqa: S608


def _prune(table: str) -> str:
    return f"""
DELETE FROM {table} WHERE (scope, key) IN (
    SELECT scope, key FROM {table} WHERE NOT {_FRESH} ORDER BY created_at LIMIT %(limit)s)
"""  # noqa: S608


_FIND_BATCH = _find("batch_key", "batch_id")
_FIND_FILE = _find("file_key", "file_id")

_PRUNE = f"""
DELETE FROM idempotency WHERE (scope, key, part) IN (
    SELECT scope, key, part FROM idempotency WHERE NOT {_FRESH} ORDER BY created_at LIMIT %(limit)s)
"""  # noqa: S608
