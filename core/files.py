"""Files of callers and of batches, on Postgres in pieces: read and written by any process, held whole by none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from psycopg2 import Binary
from uuid_utils import uuid7

from core.batch_errors import FileInUse, StoredFileNotFound
from core.database import Database, Row
from core.idempotency import CLAIM_FILE, IdempotencyStore, Once

PIECE_BYTES = 1_048_576
ABANDONED_S = 24 * 3600
"""What is unfinished for so long was left behind by a process that died."""

Purpose = Literal["batch", "batch_output"]

_ID = re.compile("file-([0-9a-f]{32})")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A whole file; `id` is as callers see it."""

    id: str
    purpose: Purpose
    filename: str
    size_bytes: int
    created_at: datetime
    expires_at: datetime | None


class FileStore:
    """`key_id` is whose file it must be, in every method that has it; None sees all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, *, purpose: Purpose, key_id: str | None, filename: str = "") -> FileWriter:
        """Begin a file; nobody sees it before the writer's `finish`."""
        file_id = str(uuid7())
        parameters = {"id": file_id, "purpose": purpose, "key_id": key_id, "filename": filename}
        self._database.execute(_CREATE, parameters)
        return FileWriter(self._database, file_id)

    def get(self, file_id: str, *, key_id: str | None) -> StoredFile:
        """Raises StoredFileNotFound."""
        parameters = {"id": file_uuid(file_id), "key_id": key_id}
        rows = self._database.fetch(f"{_SELECT} WHERE id = %(id)s AND {_VISIBLE}", parameters)
        if not rows:
            raise StoredFileNotFound(file_id)
        return _file(rows[0])

    def page(
        self, *, key_id: str | None, after: str | None, limit: int, is_ascending: bool, purpose: str | None
    ) -> list[StoredFile]:
        """Whole files by age, beginning after the id `after`."""
        sign, order = (">", "ASC") if is_ascending else ("<", "DESC")
        conditions = (
            [_VISIBLE] + [f"id {sign} %(after)s"] * bool(after) + ["purpose = %(purpose)s"] * bool(purpose)
        )
        sql = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY file.id {order} LIMIT %(limit)s"
        after_id = file_uuid(after, param="after") if after else None
        parameters = {"after": after_id, "limit": limit, "purpose": purpose, "key_id": key_id}
        return [_file(row) for row in self._database.fetch(sql, parameters)]

    def delete(self, file_id: str, *, key_id: str | None) -> None:
        """Raises StoredFileNotFound, or FileInUse while an open batch reads it."""
        parameters = {"id": file_uuid(file_id), "key_id": key_id}
        if self._database.fetch(
            f"{_DELETE} WHERE id = %(id)s AND uses = 0 AND {_VISIBLE} RETURNING id", parameters
        ):
            return
        self.get(file_id, key_id=key_id)
        raise FileInUse(file_id)

    def read(self, file_id: str, *, position: int = 0) -> Iterator[bytes]:
        """The content from byte `position` on, a piece at a time, also of a file that has expired meanwhile."""
        number, skipped = divmod(position, PIECE_BYTES)
        while True:
            parameters = {"id": file_uuid(file_id), "position": number, "skipped": skipped}
            rows = self._database.fetch(_READ, parameters)
            if not rows:
                return
            yield bytes(rows[0]["content"])
            number, skipped = number + 1, 0

    def prune(self) -> int:
        """Remove what has expired and is not in use, and what was never finished; how many files."""
        return len(self._database.fetch(_PRUNE, {"abandoned_s": ABANDONED_S}))


class FileWriter:
    """Writes one file from its start; not for several threads."""

    def __init__(self, database: Database, file_id: str) -> None:
        self._database = database
        self._id = file_id
        self._pieces = 0
        self._size = 0
        self._pending = bytearray()

    @property
    def id(self) -> str:
        """As callers see it."""
        return file_name(self._id)

    @property
    def size_bytes(self) -> int:
        return self._size

    def write(self, content: bytes) -> int:
        self._pending += content
        self._size += len(content)
        while len(self._pending) >= PIECE_BYTES:
            self._store(PIECE_BYTES)
        return len(content)

    def finish(self, *, filename: str, lives_s: int | None, once: Once | None = None) -> StoredFile:
        """Make it a file, for `lives_s` seconds where given.

        Where the idempotency key `once` stands for another file already, that is the one, and this is discarded.
        Raises StoredFileNotFound if this was removed meanwhile, or IdempotencyConflict.
        """
        if self._pending:
            self._store(len(self._pending))
        parameters = {"id": self._id, "size_bytes": self._size, "filename": filename, "lives_s": lives_s}
        if once is None:
            rows = self._database.fetch(_FINISH.format(source=""), parameters)
        else:
            rows = self._database.fetch(_FINISH_ONCE, {**parameters, **asdict(once)})
        if not rows and once is not None and (other := IdempotencyStore(self._database).find_file(once)):
            self.discard()
            return FileStore(self._database).get(file_name(other), key_id=once.scope or None)
        if not rows:
            raise StoredFileNotFound(self.id)
        return _file(rows[0])

    def discard(self) -> None:
        """Leave nothing of it."""
        self._database.execute(f"{_DELETE} WHERE id = %(id)s", {"id": self._id})

    def _store(self, length: int) -> None:
        content = Binary(bytes(self._pending[:length]))
        self._database.execute(_WRITE, {"id": self._id, "position": self._pieces, "content": content})
        self._pieces += 1
        del self._pending[:length]


def file_uuid(file_id: str, *, param: str = "id") -> str:
    """As the ledger has it. Raises StoredFileNotFound for what is not an id of a file."""
    found = _ID.fullmatch(file_id)
    if found is None:
        raise StoredFileNotFound(file_id, param=param)
    return found[1]


def file_name(uuid: str) -> str:
    """The ledger's id as callers see it."""
    return f"file-{uuid.replace('-', '')}"


def _file(row: Row) -> StoredFile:
    return StoredFile(**{**row, "id": file_name(row["id"])})


_VISIBLE = """size_bytes IS NOT NULL AND (expires_at IS NULL OR expires_at > now())
    AND (%(key_id)s::text IS NULL OR key_id = %(key_id)s)"""

_COLUMNS = "id::text, purpose, filename, size_bytes, created_at, expires_at"

_SELECT = f"SELECT {_COLUMNS} FROM file"  # noqa: S608

_DELETE = "DELETE FROM file"

_CREATE = """
INSERT INTO file (id, purpose, key_id, filename) VALUES (%(id)s, %(purpose)s, %(key_id)s, %(filename)s)
ON CONFLICT (id) DO NOTHING
"""

_WRITE = """
INSERT INTO file_piece (file_id, position, content) VALUES (%(id)s, %(position)s, %(content)s)
ON CONFLICT DO NOTHING
"""

_FINISH = f"""
UPDATE file SET size_bytes = %(size_bytes)s, filename = %(filename)s,
    expires_at = file.created_at + make_interval(secs => %(lives_s)s)
{{source}} WHERE id = %(id)s
RETURNING {_COLUMNS}
"""  # noqa: S608

_FINISH_ONCE = f"WITH {CLAIM_FILE} {_FINISH.format(source='FROM claimed')}"

_READ = """
SELECT substring(content FROM %(skipped)s + 1) AS content FROM file_piece
WHERE file_id = %(id)s AND position = %(position)s
"""

_PRUNE = """
DELETE FROM file
WHERE (expires_at < now() AND uses = 0)
   OR (size_bytes IS NULL AND created_at < now() - make_interval(secs => %(abandoned_s)s))
RETURNING id
"""
