"""Code that arrives while everything breaks, so that trainings are part of the mix."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from threading import Event

from core.database import Database
from core.errors import DatabaseUnavailable
from tests.faults.world import World
from tests.files_of_code import STANDARD_LIBRARY

ROUNDS = (("json", "wsgiref"), ("dbm", "curses"), ("zoneinfo", "urllib", "sqlite3"))
"""Packages of the standard library that arrive together, each enough for one training."""
JOBS_PER_ROUND = 8000
QUIET_S = 6.0
ENDED_S = 420.0

_INSERT = """
INSERT INTO code_files (repo, path, content, quality_score)
SELECT %(repo)s, %(path)s, %(content)s, 90
WHERE NOT EXISTS (SELECT 1 FROM code_files WHERE repo = %(repo)s AND path = %(path)s)
"""
_OPEN = """
SELECT (SELECT count(*) FROM training_run WHERE state IN ('queued', 'running'))
     + (SELECT (count(*) >= 6)::integer FROM code_files WHERE run_id IS NULL AND rejection IS NULL)
"""


class Teacher:
    """Inserts the rounds one after the other, as somebody would who knows only the table."""

    def __init__(self, world: World, *, jobs: int, progress: Callable[[], int]) -> None:
        self._world = world
        self._rounds = ROUNDS[: 1 + jobs // JOBS_PER_ROUND]
        self._jobs = jobs
        self._progress = progress

    def run(self) -> None:
        with closing(Database(self._world.running.database_url, connections=1)) as database:
            for number, names in enumerate(self._rounds):
                while self._progress() < self._jobs * number // len(self._rounds):
                    Event().wait(0.05)
                for name in names:
                    self._insist(database, name)

    def _insist(self, database: Database, name: str) -> None:
        """What is asked again after a lost answer may be there."""
        for path in sorted((STANDARD_LIBRARY / name).glob("*.py")):
            content = path.read_text(encoding="utf-8", errors="replace")
            while True:
                try:
                    database.execute(_INSERT, {"repo": name, "path": path.name, "content": content})
                    break
                except DatabaseUnavailable:
                    Event().wait(0.2)


def await_trainings(world: World) -> None:
    """Return when no training has been open or due for a while, or when one takes far too long."""
    end, quiet_since = time.monotonic() + ENDED_S, time.monotonic()
    while time.monotonic() < end and time.monotonic() - quiet_since < QUIET_S:
        if world.records.count(_OPEN):
            quiet_since = time.monotonic()
        Event().wait(0.25)
