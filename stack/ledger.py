"""What the stack does to the database before its processes start."""

from __future__ import annotations

import socket
from contextlib import closing

from core.database import Database
from core.roster import Roster

_BEAT_S = 1.0  # only for reading the roster, which is not done here


def prepare_ledger(database_url: str) -> None:
    """Migrate, and sign off the workers of a killed stack, which could not do so and would still count as alive.

    Raises DatabaseUnavailable, and ConfigurationError where the database is newer than this program.
    """
    with closing(Database(database_url, connections=1)) as database:
        database.migrate()
        Roster(database, beat_s=_BEAT_S).forget_host(socket.gethostname())
