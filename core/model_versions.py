"""The registry of trained adapters: which there are, what they came from, and which one serves.

Every change locks all rows in order and decides by what they say then, in one statement: whoever comes at the same
time takes turns, and exactly one version serves, or none, which means the base model.

    candidate -> serving <-> retired -> pruned
    candidate | serving | retired -> broken -> retired | pruned
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.database import Database, Row
from core.errors import VersionNotFound, VersionUnfit


class VersionState(StrEnum):
    CANDIDATE = "candidate"  # published, not in service yet, or judged and refused
    SERVING = "serving"
    RETIRED = "retired"  # was in service
    BROKEN = "broken"  # could not be loaded; `alarm` says why
    PRUNED = "pruned"  # its files are gone


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A published adapter about to be recorded.

    `parent` None means that it was trained from the base model. `checksum` is the SHA-256 of its weights file,
    `base_hash` that of the checkpoint it was trained on, `manifest_hash` that of the files; all in hexadecimal.
    """

    directory: Path
    checksum: str
    base_hash: str
    manifest_hash: str
    parent: int | None = None
    run_id: int | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One row of the registry; the fields of `NewVersion` mean the same here."""

    number: int
    state: VersionState
    directory: Path
    checksum: str
    base_hash: str
    manifest_hash: str
    parent: int | None
    run_id: int | None
    scores: Mapping[str, Any]
    alarm: str | None
    created_at: datetime
    promoted_at: datetime | None

    @property
    def name(self) -> str:
        """As answers name it."""
        return f"v{self.number}"


class VersionStore:
    """Each method is safe to call again and at the same time elsewhere. All raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, new: NewVersion) -> int:
        """Enter a candidate and return its number; the same files of the same run are entered once."""
        parameters = {
            "parent": new.parent,
            "run_id": new.run_id,
            "directory": str(new.directory),
            "checksum": new.checksum,
            "base_hash": new.base_hash,
            "manifest_hash": new.manifest_hash,
            "scores": json.dumps(dict(new.scores)),
        }
        while not (rows := self._database.fetch(_RECORD, parameters)):
            pass  # another one took the number in this moment
        return int(rows[0]["number"])

    def get(self, number: int) -> Version:
        """Raises VersionNotFound."""
        rows = self._database.fetch(f"{_SELECT} WHERE number = %(number)s", {"number": number})
        if not rows:
            raise VersionNotFound(number)
        return _version(rows[0])

    def all(self) -> list[Version]:
        """Every version there ever was, newest first."""
        return [_version(row) for row in self._database.fetch(f"{_SELECT} ORDER BY number DESC")]

    def serving(self) -> Version | None:
        """The version in service, or None where it is the base model."""
        rows = self._database.fetch(f"{_SELECT} WHERE state = 'serving'")
        return _version(rows[0]) if rows else None

    def promote(self, number: int) -> Version:
        """Put a candidate or a retired version into service in place of the present one.

        Raises VersionNotFound, or VersionUnfit where it is broken or pruned; the one in service then stays.
        """
        self._database.execute(_PROMOTE, {"number": number})
        version = self.get(number)
        if version.state in (VersionState.BROKEN, VersionState.PRUNED):
            raise VersionUnfit(version.name, version.state, version.alarm)
        return version

    def rollback(self) -> Version | None:
        """Return to the nearest usable ancestor of the version in service, or to the base model (None).

        Two calls at once go back one step together.
        """
        serving = self.serving()
        if serving is not None:
            self._step_down(serving.number, VersionState.RETIRED, alarm=None)
        return self.serving()

    def mark_broken(self, number: int, alarm: str) -> bool:
        """Take a version out for good, its nearest usable ancestor in service; False if it was out already."""
        return self._step_down(number, VersionState.BROKEN, alarm=alarm)

    def mend(self, number: int) -> bool:
        """Let a broken version be promoted again, once its files have been restored; takes the alarm back."""
        return bool(self._database.fetch(_MEND, {"number": number}))

    def alarms(self) -> list[str]:
        """Why versions were taken out, newest first, until a later version serves."""
        return [f"v{row['number']}: {row['alarm']}" for row in self._database.fetch(_ALARMS)]

    def prunable(self, keep: int) -> list[Version]:
        """Versions whose files may go, beyond the `keep` newest that have files.

        Never the one in service, its parent or what it would be rolled back to, nor a candidate that is newer.
        """
        return [_version(row) for row in self._database.fetch(_PRUNABLE, {"keep": keep})]

    def mark_pruned(self, number: int) -> bool:
        """To be called before its files are removed; False, and they must stay, if it serves by now."""
        return bool(self._database.fetch(_MARK_PRUNED, {"number": number}))

    def _step_down(self, number: int, state: VersionState, *, alarm: str | None) -> bool:
        parameters = {"number": number, "state": state, "alarm": alarm, "only_serving": alarm is None}
        return bool(self._database.fetch(_STEP_DOWN, parameters))


def _version(row: Row) -> Version:
    return Version(**{**row, "state": VersionState(row["state"]), "directory": Path(row["directory"])})


_SELECT = """SELECT number, state, directory, checksum, base_hash, manifest_hash, parent, run_id, scores, alarm,
    created_at, promoted_at FROM model_version"""

_RECORD = """
WITH known AS (
    SELECT number FROM model_version
    WHERE run_id = %(run_id)s AND checksum = %(checksum)s AND directory = %(directory)s
), entered AS (
    INSERT INTO model_version (number, parent, run_id, directory, checksum, base_hash, manifest_hash, scores)
    SELECT (SELECT coalesce(max(number), 0) + 1 FROM model_version), %(parent)s, %(run_id)s, %(directory)s,
           %(checksum)s, %(base_hash)s, %(manifest_hash)s, %(scores)s
    WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (number) DO NOTHING
    RETURNING number
)
SELECT number FROM known UNION ALL SELECT number FROM entered
"""

# Rows that others changed while this waited for their locks are seen here as they are now.
_LOCKED = """locked AS MATERIALIZED (
    SELECT number, state, parent FROM model_version ORDER BY number FOR NO KEY UPDATE
)"""

# The former one must have stepped down before the next one serves: the index allows one at any moment. A count of
# what was changed is known only when all of it is.
_PROMOTE = f"""
WITH {_LOCKED}, target AS (
    SELECT number FROM locked WHERE number = %(number)s AND state IN ('candidate', 'retired')
), former AS (
    UPDATE model_version SET state = 'retired'
    FROM locked, target WHERE model_version.number = locked.number AND locked.state = 'serving'
    RETURNING model_version.number
)
UPDATE model_version SET state = 'serving', promoted_at = now()
FROM target, (SELECT count(*) AS count FROM former) AS stepped_down
WHERE model_version.number = target.number AND stepped_down.count >= 0
"""  # noqa: S608

_ANCESTOR = """ancestor AS (
    SELECT parent AS number, 1 AS distance FROM locked WHERE {start} AND state = 'serving'
    UNION ALL
    SELECT locked.parent, distance + 1 FROM ancestor JOIN locked ON locked.number = ancestor.number
), heir AS (
    SELECT locked.number FROM ancestor JOIN locked ON locked.number = ancestor.number
    WHERE locked.state NOT IN ('broken', 'pruned') ORDER BY distance LIMIT 1
)"""

_STEP_DOWN = f"""
WITH RECURSIVE {_LOCKED}, {_ANCESTOR.format(start="number = %(number)s")}, former AS (
    UPDATE model_version SET state = %(state)s, alarm = coalesce(%(alarm)s, model_version.alarm)
    FROM locked WHERE model_version.number = locked.number AND locked.number = %(number)s
      AND (locked.state = 'serving' OR (locked.state IN ('candidate', 'retired') AND NOT %(only_serving)s))
    RETURNING model_version.number
), heired AS (
    UPDATE model_version SET state = 'serving'
    FROM heir, (SELECT count(*) AS count FROM former) AS stepped_down
    WHERE model_version.number = heir.number AND stepped_down.count = 1
)
SELECT number FROM former
"""  # noqa: S608

_MEND = """
UPDATE model_version SET state = 'retired', alarm = NULL
WHERE number = %(number)s AND state = 'broken' RETURNING number
"""

_ALARMS = """
SELECT number, alarm FROM model_version AS broken
WHERE state = 'broken' AND alarm IS NOT NULL
  AND NOT EXISTS (SELECT FROM model_version WHERE state = 'serving' AND number > broken.number)
ORDER BY number DESC
"""

_PRUNABLE = f"""
WITH RECURSIVE locked AS (SELECT number, state, parent FROM model_version), {_ANCESTOR.format(start="TRUE")}
{_SELECT}
WHERE state IN ('candidate', 'retired', 'broken')
  AND number NOT IN (SELECT number FROM model_version WHERE state <> 'pruned' ORDER BY number DESC LIMIT %(keep)s)
  AND number NOT IN (SELECT number FROM heir)
  AND number NOT IN (SELECT parent FROM model_version WHERE state = 'serving' AND parent IS NOT NULL)
  AND NOT (state = 'candidate'
           AND number > coalesce((SELECT number FROM model_version WHERE state = 'serving'), 0))
ORDER BY number
"""  # noqa: S608

_MARK_PRUNED = """
UPDATE model_version SET state = 'pruned'
WHERE number = %(number)s AND state IN ('candidate', 'retired', 'broken') RETURNING number
"""
