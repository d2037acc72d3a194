"""Which files a training run is over, on Postgres: chosen once, before anything is trained, and kept for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.database import Database
from core.rejections import MOST_BYTES
from core.run_leases import RunClaim
from core.training import Purpose

CHUNK_FILES = 200


@dataclass(frozen=True, slots=True)
class FileRef:
    """One file of code, without its content."""

    id: int
    repo: str
    path: str
    blob_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A row that nobody has looked at yet; anybody may have written it."""

    id: int
    repo: str | None
    path: str | None
    content: str
    quality_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """How much there is to train on."""

    new_files: int
    new_bytes: int
    last_trained_id: int
    """Of the newest file that a run has taken."""
    current_max_id: int


class ManifestStore:
    """Files that are new, and the manifests of all runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def corpus(self, *, min_quality_score: float) -> Corpus:
        return Corpus(**self._database.fetch(_CORPUS, {"least": min_quality_score})[0])

    def new_files(self, *, min_quality_score: float) -> Iterator[NewFile]:
        """In the order of their numbers, read in chunks: what is rejected on the way does not disturb it.

        Of a content that is too large as much as shows that; nobody bounds what others write into the table.
        """
        last = 0
        parameters = {"least": min_quality_score, "n": CHUNK_FILES, "most": MOST_BYTES + 1}
        while rows := self._database.fetch(_NEW, {**parameters, "last": last}):
            yield from (NewFile(**row) for row in rows)
            last = rows[-1]["id"]

    def reject(self, reasons: Mapping[int, str]) -> None:
        """Keep why these files, by number, are not for training."""
        self._database.execute(_REJECT, {"reasons": json.dumps(reasons)})

    def known(self, blob_hashes: Sequence[str]) -> set[str]:
        """Which of these contents are in the manifest of a run that counts."""
        return {row["blob_hash"] for row in self._database.fetch(_KNOWN, {"hashes": list(blob_hashes)})}

    def of_promoted(self, purpose: Purpose) -> list[FileRef]:
        """The files, in order, that promoted runs had for `purpose`, the newest run first."""
        return [FileRef(**row) for row in self._database.fetch(_OF_PROMOTED, {"purpose": purpose.value})]

    def write(
        self,
        claim: RunClaim,
        entries: Mapping[Purpose, Sequence[FileRef]],
        *,
        taken: Sequence[int],
        manifest_hash: str,
        parent: int | None,
    ) -> bool:
        """Settle the manifest of a run and take its new files; False if it is settled, or another's run now."""
        rows = [
            {"purpose": purpose.value, "position": position, "file_id": file.id, "blob_hash": file.blob_hash}
            for purpose, files in entries.items()
            for position, file in enumerate(files)
        ]
        parameters: dict[str, Any] = {
            "id": claim.run_id,
            "attempt": claim.attempt,
            "rows": json.dumps(rows),
            "taken": list(taken),
            "hash": manifest_hash,
            "parent": parent,
        }
        return bool(self._database.fetch(_WRITE, parameters))

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The contents of these files, in no particular order."""
        return [row["content"] for row in self._database.fetch(_TEXTS, {"ids": list(ids)})]

    def total_bytes(self, ids: Sequence[int]) -> int:
        return int(self._database.fetch(_TOTAL_BYTES, {"ids": list(ids)})[0]["total"])

    def hash_of(self, run_id: int) -> str | None:
        """The hash of a settled manifest."""
        rows = self._database.fetch("SELECT manifest_hash FROM training_run WHERE id = %(id)s", {"id": run_id})
        return rows[0]["manifest_hash"] if rows else None

    def counts(self, run_id: int) -> dict[Purpose, int]:
        rows = self._database.fetch(_COUNTS, {"run_id": run_id})
        return {Purpose(row["purpose"]): row["n"] for row in rows}

    def contents(self, run_id: int, purpose: Purpose) -> Iterator[str]:
        """The files of a manifest, in its order, read in chunks."""
        last = -1
        while rows := self._database.fetch(
            _CONTENTS, {"run_id": run_id, "purpose": purpose.value, "last": last, "n": CHUNK_FILES}
        ):
            yield from (row["content"] or "" for row in rows)
            last = rows[-1]["position"]


_IS_NEW = (
    "run_id IS NULL AND rejection IS NULL AND content IS NOT NULL AND quality_score BETWEEN %(least)s AND 100"
)

_CORPUS = f"""
SELECT (SELECT count(*) FROM code_files WHERE {_IS_NEW}) AS new_files,
    (SELECT coalesce(sum(octet_length(content)), 0)::bigint FROM code_files WHERE {_IS_NEW}) AS new_bytes,
    (SELECT coalesce(max(id), 0) FROM code_files WHERE run_id IS NOT NULL) AS last_trained_id,
    (SELECT coalesce(max(id), 0) FROM code_files) AS current_max_id
"""  # noqa: S608  the inserted part is a constant

_NEW = f"""
SELECT id, repo, path, left(content, %(most)s) AS content, quality_score FROM code_files
WHERE {_IS_NEW} AND id > %(last)s ORDER BY id LIMIT %(n)s
"""  # noqa: S608  the inserted part is a constant

_REJECT = """
UPDATE code_files SET rejection = r.value FROM jsonb_each_text(%(reasons)s) AS r
WHERE code_files.id = r.key::bigint
"""

_KNOWN = """
SELECT DISTINCT t.blob_hash FROM training_file t
JOIN training_run r ON r.id = t.run_id AND r.state NOT IN ('failed', 'cancelled')
WHERE t.blob_hash = ANY(%(hashes)s)
"""

_OF_PROMOTED = """
SELECT c.id, c.repo, c.path, t.blob_hash FROM training_file t
JOIN training_run r ON r.id = t.run_id AND r.state = 'promoted' JOIN code_files c ON c.id = t.file_id
WHERE t.purpose = %(purpose)s ORDER BY t.run_id DESC, t.position
"""

_WRITE = """
WITH mine AS (
    UPDATE training_run SET manifest_hash = %(hash)s, parent = %(parent)s
    WHERE id = %(id)s AND attempt = %(attempt)s AND state = 'running' AND manifest_hash IS NULL RETURNING id
),
listed AS (
    INSERT INTO training_file (run_id, purpose, position, file_id, blob_hash)
    SELECT mine.id, t.purpose, t.position, t.file_id, t.blob_hash FROM mine,
        jsonb_to_recordset(%(rows)s) AS t (purpose text, position integer, file_id bigint, blob_hash text)
),
taken AS (
    UPDATE code_files SET run_id = mine.id FROM mine WHERE code_files.id = ANY(%(taken)s)
)
SELECT id FROM mine
"""

_COUNTS = "SELECT purpose, count(*) AS n FROM training_file WHERE run_id = %(run_id)s GROUP BY purpose"

_CONTENTS = """
SELECT t.position, c.content FROM training_file t JOIN code_files c ON c.id = t.file_id
WHERE t.run_id = %(run_id)s AND t.purpose = %(purpose)s AND t.position > %(last)s ORDER BY t.position LIMIT %(n)s
"""

_TEXTS = "SELECT content FROM code_files WHERE id = ANY(%(ids)s) AND content IS NOT NULL"

_TOTAL_BYTES = """
SELECT coalesce(sum(octet_length(content)), 0)::bigint AS total FROM code_files WHERE id = ANY(%(ids)s)
"""
