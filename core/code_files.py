"""Files of code on PostgreSQL: what was kept for training, and why the rest was not.

A batch is stored by one command, whole or not at all. Ingests that run at once take turns in it, and a file goes
in only if whoever stores it has compared it with every kept file that shares a band with it: see `store`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg2.extras import Json

from core.code_file_statements import CANDIDATES, COUNTS, HISTOGRAM, HOLDERS, STORE
from core.database import Database, Row
from core.rejections import RECONSIDERED

STORE_LOCK = 0x636F6465  # any constant: all ingests must agree on it


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFile:
    """A file as it is stored: with content, score and bands where it is kept, with a rejection where not.

    `compared` are ids of kept files that share a band and are no near duplicates.
    """

    repo: str
    path: str
    commit: str | None
    blob_hash: str | None
    language: str | None
    licence: str | None
    size_bytes: int
    content: str | None = None
    quality_score: float | None = None
    reasons: Mapping[str, Any] = field(default_factory=dict)
    rejection: str | None = None
    bands: Sequence[int] = ()
    compared: frozenset[int] = frozenset()

    @property
    def is_kept(self) -> bool:
        return self.rejection is None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kept file that shares a band with the one at `position` of the question."""

    position: int
    id: int
    repo: str
    path: str
    blob_hash: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """Files of one kind. `rejection` None stands for kept ones."""

    repo: str | None
    language: str | None
    rejection: str | None
    files: int
    size_bytes: int


class CodeFileStore:
    """The table `code_files` and its bands; safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, repo: str) -> set[tuple[str, str]]:
        """(path, blob hash) of everything decided of a repository, kept or rejected."""
        rows = self._database.fetch(
            "SELECT path, blob_hash FROM code_files WHERE repo = %(repo)s AND path IS NOT NULL"
            " AND blob_hash IS NOT NULL AND (rejection IS NULL OR rejection <> ALL(%(again)s))",
            {"repo": repo, "again": [reason.value for reason in RECONSIDERED]},
        )
        return {(row["path"], row["blob_hash"]) for row in rows}

    def holders(self, blob_hashes: Collection[str]) -> dict[str, tuple[str, str]]:
        """Where a content is kept already: (repo, path) by blob hash."""
        rows = self._database.fetch(HOLDERS, {"hashes": list(blob_hashes)})
        return {row["blob_hash"]: (row["repo"], row["path"]) for row in rows}

    def candidates(self, bands: Sequence[Sequence[int]]) -> list[Candidate]:
        """All kept files that share bands with those asked for, by position; what shares most comes first."""
        positions, keys = _flat(bands)
        rows = self._database.fetch(CANDIDATES, {"positions": positions, "keys": keys})
        return [Candidate(**row) for row in rows]

    def contents(self, ids: Collection[int]) -> dict[int, str]:
        """The stored text by id."""
        rows = self._database.fetch(
            "SELECT id, content FROM code_files WHERE id = ANY(%(ids)s) AND content IS NOT NULL",
            {"ids": list(ids)},
        )
        return {row["id"]: row["content"] for row in rows}

    def store(self, files: Sequence[CodeFile]) -> list[int]:
        """Store a batch; the positions left out, since a kept file they were not compared with got in between."""
        if not files:
            return []
        rows = self._database.fetch(STORE, _parameters(files))
        return sorted(row["position"] for row in rows)

    def counts(self, repo: str | None = None) -> list[Count]:
        """How many files by repository, language and rejection."""
        return [Count(**row) for row in self._database.fetch(COUNTS, {"repo": repo})]

    def histogram(self, repo: str | None = None) -> dict[int, int]:
        """How many kept files by score, in steps of ten: 0, 10, ... 90; scores that are none are left out."""
        rows = self._database.fetch(HISTOGRAM, {"repo": repo})
        return {int(row["step"]): row["files"] for row in rows}

    def find(
        self, *, file_id: int | None = None, path: str | None = None, repo: str | None = None
    ) -> Sequence[Row]:
        """Up to 20 files with that id, or whose path ends so, newest first, without their content."""
        return self._database.fetch(
            "SELECT id, repo, path, commit, blob_hash, language, licence, size_bytes, quality_score, reasons,"
            " rejection, run_id FROM code_files"
            " WHERE (%(id)s::bigint IS NULL OR id = %(id)s)"
            " AND (%(path)s::text IS NULL OR right('/' || path, length(%(path)s) + 1) = '/' || %(path)s)"
            " AND (%(repo)s::text IS NULL OR repo = %(repo)s) ORDER BY id DESC LIMIT 20",
            {"id": file_id, "path": path, "repo": repo},
        )


def _flat(values: Sequence[Collection[int]]) -> tuple[list[int], list[int]]:
    """Two columns of a nested list: the position, and each of its values."""
    pairs = [(position, value) for position, group in enumerate(values) for value in group]
    return [position for position, _ in pairs], [value for _, value in pairs]


_COLUMNS = (
    "repo",
    "path",
    "commit",
    "blob_hash",
    "language",
    "licence",
    "size_bytes",
    "content",
    "quality_score",
    "rejection",
)


def _parameters(files: Sequence[CodeFile]) -> dict[str, Any]:
    band_positions, band_keys = _flat([file.bands if file.is_kept else () for file in files])
    compared_positions, compared_ids = _flat([file.compared for file in files])
    return {
        **{name: [getattr(file, name) for file in files] for name in _COLUMNS},
        "reasons": [Json(dict(file.reasons)) for file in files],
        "lock": STORE_LOCK,
        "again": [reason.value for reason in RECONSIDERED],
        "band_positions": band_positions,
        "band_keys": band_keys,
        "compared_positions": compared_positions,
        "compared_ids": compared_ids,
    }
