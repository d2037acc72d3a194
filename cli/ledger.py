"""The ledger, for commands that need no running API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from core.database import Database
from core.settings import load_settings


@contextmanager
def open_ledger() -> Iterator[Database]:
    """The database of the settings, brought up to date. Raises ConfigurationError or DatabaseUnavailable."""
    with closing(Database(load_settings().require_database_url(), connections=2)) as database:
        database.migrate()
        yield database
