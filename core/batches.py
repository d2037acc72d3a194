"""Batches on Postgres: accepted, read, listed and cancelled by callers, advanced by the light worker.

    validating -> failed                                  (no line was asked)
    validating -> in_progress -> finalizing -> completed | expired
    validating | in_progress -> cancelling -> cancelled

A light worker advances a batch under a claim, a word of its own that every write names. So one whose claim ran out
changes nothing any more, and the next one goes on where the row says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from uuid_utils import uuid7

from core.batch_errors import BatchEnded, BatchNotFound, StoredFileNotFound
from core.database import Database, Row
from core.files import file_name, file_uuid
from core.idempotency import CLAIM_BATCH, IdempotencyStore, Once

_ID = re.compile("batch_([0-9a-f]{32})")


class BatchState(StrEnum):
    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (self.FAILED, self.COMPLETED, self.EXPIRED, self.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch about to be accepted, `window_s` after which it expires; `file_id` as callers see it."""

    file_id: str
    endpoint: str
    window: str
    window_s: int
    metadata: Mapping[str, str] | None = None
    output_kept_s: int | None = None
    key_id: str | None = None
    webhook_url: str | None = None  # is told how it ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch as it stands; ids as callers see them. `outcome` is the state it will end in."""

    id: str
    key_id: str | None
    endpoint: str
    input_file_id: str
    completion_window: str
    metadata: Mapping[str, str] | None
    output_kept_s: int | None
    state: BatchState
    outcome: BatchState
    errors: Sequence[Mapping[str, Any]] | None
    total: int
    completed: int
    failed: int
    line: int
    position: int
    is_enqueued: bool
    output_file_id: str | None
    error_file_id: str | None
    is_overdue: bool
    times: Mapping[str, datetime | None] = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        return batch_uuid(self.id)

    @property
    def takes_lines(self) -> bool:
        """Whether further lines may become jobs."""
        is_early = self.state in (BatchState.VALIDATING, BatchState.IN_PROGRESS)
        return is_early and self.outcome is BatchState.COMPLETED

    @property
    def was_begun(self) -> bool:
        """Whether its lines were found in order."""
        return self.times["in_progress_at"] is not None

    @property
    def expires_at(self) -> datetime:
        moment = self.times["expires_at"]
        assert moment is not None  # noqa: S101 - the ledger sees to it
        return moment


class BatchStore:
    """The callers' side. `key_id` is whose batch it must be; None sees all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewBatch) -> Batch:
        """Accept a batch; its file cannot be deleted before it ends. Raises StoredFileNotFound."""
        parameters = _new_parameters(new)
        self._database.execute(_CREATE, parameters)
        return self._created(new, parameters["id"])

    def create_once(self, new: NewBatch, once: Once, *, admit: Callable[[], None]) -> tuple[Batch, bool]:
        """As `create`, but the same idempotency key gives the same batch; whether an earlier request made it.

        `admit` raises what refuses a further batch, and is asked for no other. Raises IdempotencyConflict as well,
        where the key stands for another request.
        """
        keys = IdempotencyStore(self._database)
        parameters = {**_new_parameters(new), **asdict(once)}
        found = keys.find_batch(once)
        if found is None:
            admit()
            self._database.execute(_CREATE_ONCE, parameters)
            found = keys.find_batch(once)  # perhaps somebody else's, who was faster
        batch = self._created(new, found or parameters["id"])
        return batch, found != parameters["id"]

    def _created(self, new: NewBatch, batch_uuid: str) -> Batch:
        try:
            return self.get(batch_name(batch_uuid), key_id=new.key_id)
        except BatchNotFound:
            raise StoredFileNotFound(new.file_id, param="input_file_id") from None

    def get(self, batch_id: str, *, key_id: str | None) -> Batch:
        """Raises BatchNotFound."""
        parameters = {"id": batch_uuid(batch_id), "key_id": key_id}
        rows = self._database.fetch(f"{_SELECT} WHERE id = %(id)s AND {_VISIBLE}", parameters)
        if not rows:
            raise BatchNotFound(batch_id)
        return read_batch(rows[0])

    def page(self, *, key_id: str | None, after: str | None, limit: int) -> list[Batch]:
        """Batches, newest first, beginning after (older than) the id `after`."""
        older = "AND id < %(after)s" if after else ""
        sql = f"{_SELECT} WHERE {_VISIBLE} {older} ORDER BY batch.id DESC LIMIT %(limit)s"
        parameters = {
            "after": batch_uuid(after, param="after") if after else None,
            "limit": limit,
            "key_id": key_id,
        }
        return [read_batch(row) for row in self._database.fetch(sql, parameters)]

    def request_cancel(self, batch_id: str, *, key_id: str | None) -> Batch:
        """Write the wish; one whose lines have all ended completes. Raises BatchNotFound or BatchEnded."""
        parameters = {"id": batch_uuid(batch_id), "key_id": key_id}
        self._database.execute(f"{_CANCEL} AND {_VISIBLE}", parameters)
        batch = self.get(batch_id, key_id=key_id)
        if batch.state.is_final and batch.state is not BatchState.CANCELLED:
            raise BatchEnded(batch_id, batch.state)
        return batch


def _new_parameters(new: NewBatch) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "file_id": file_uuid(new.file_id, param="input_file_id"),
        "key_id": new.key_id,
        "endpoint": new.endpoint,
        "window": new.window,
        "window_s": new.window_s,
        "metadata": json.dumps(new.metadata) if new.metadata is not None else None,
        "output_kept_s": new.output_kept_s,
        "webhook_url": new.webhook_url,
    }


def batch_uuid(batch_id: str, *, param: str = "id") -> str:
    """As the ledger has it. Raises BatchNotFound for what is not an id of a batch."""
    found = _ID.fullmatch(batch_id)
    if found is None:
        raise BatchNotFound(batch_id, param=param)
    return found[1]


def batch_name(uuid: str) -> str:
    """The ledger's id as callers see it."""
    return f"batch_{uuid.replace('-', '')}"


def read_batch(row: Row) -> Batch:
    """A row of BATCH_COLUMNS."""
    given = {name: value for name, value in row.items() if name not in TIMES}
    files = {name: file_name(row[name]) if row[name] else None for name in ("output_file_id", "error_file_id")}
    names = {"id": batch_name(row["id"]), "input_file_id": file_name(row["input_file_id"]), **files}
    states = {"state": BatchState(row["state"]), "outcome": BatchState(row["outcome"])}
    return Batch(**{**given, **names, **states}, times={name: row[name] for name in TIMES})


TIMES = (
    "created_at", "expires_at", "in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
    "cancelling_at", "cancelled_at",
)  # fmt: skip

BATCH_COLUMNS = f"""id::text, key_id, endpoint, input_file_id::text, completion_window, metadata, output_kept_s,
    state, outcome, errors, total, completed, failed, line, position, is_enqueued, output_file_id::text,
    error_file_id::text, expires_at < now() AS is_overdue, {", ".join(TIMES)}"""

_SELECT = f"SELECT {BATCH_COLUMNS} FROM batch"  # noqa: S608

_VISIBLE = "(%(key_id)s::text IS NULL OR key_id = %(key_id)s)"

_IS_READABLE = """id = %(file_id)s AND purpose = 'batch' AND size_bytes IS NOT NULL
      AND (expires_at IS NULL OR expires_at > now()) AND (%(key_id)s::text IS NULL OR key_id = %(key_id)s)
      AND NOT EXISTS (SELECT 1 FROM batch WHERE id = %(id)s)  -- the same statement sent again"""

_INSERT = """
INSERT INTO batch (id, key_id, endpoint, input_file_id, completion_window, metadata, output_kept_s, webhook_url,
                   expires_at)
SELECT %(id)s, %(key_id)s, %(endpoint)s, %(file_id)s, %(window)s, %(metadata)s, %(output_kept_s)s,
       %(webhook_url)s, now() + make_interval(secs => %(window_s)s)
"""

_CREATE = f"""
WITH held AS (
    UPDATE file SET uses = uses + 1
    WHERE {_IS_READABLE}
    RETURNING id
)
{_INSERT} FROM held
"""  # noqa: S608

# Who asks for the same at the same time waits for the file's row, and then finds the key taken.
_CREATE_ONCE = f"""
WITH held AS (
    SELECT id FROM file
    WHERE {_IS_READABLE}
    FOR UPDATE
), {CLAIM_BATCH}, used AS (
    UPDATE file SET uses = uses + 1 FROM claimed WHERE id = %(file_id)s
)
{_INSERT} FROM claimed
"""  # noqa: S608

_CANCEL = """
UPDATE batch SET state = 'cancelling', outcome = 'cancelled', cancelling_at = now()
WHERE id = %(id)s AND state IN ('validating', 'in_progress')
"""
