"""PostgreSQL: a pool, one statement at a time, and numbered migrations.

Every statement of this project is a single one, committed by itself and safe to run twice: a broken pooled
connection (the server was restarted) is replaced and the statement sent again once, without the caller noticing.
Nothing waits for ever: a server that is silent counts as away after some seconds (`core.patience`).
SQLAlchemy serves as the pool; statements go to psycopg2 directly, since its result layers cost more than the
statements themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import psycopg2
from psycopg2.errors import UndefinedColumn, UndefinedTable
from psycopg2.extras import RealDictCursor
from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import ConfigurationError, DatabaseUnavailable
from core.patience import STATEMENT_S, OutOfPatience, be_patient, patient

POOL_TIMEOUT_S = 5
MIGRATION_LOCK = 0x6D617468  # any constant: all processes of this project must agree on it

logger = logging.getLogger(__name__)

Parameters = Mapping[str, Any]
Row = Mapping[str, Any]


class Database:
    """A pool of at most `connections` connections; safe to share between threads.

    A statement that is not answered within `patience_s` seconds counts as a server that is away.
    """

    def __init__(self, url: str, *, connections: int = 8, patience_s: float = STATEMENT_S) -> None:
        parsed = _parse(url)
        be_patient()
        self._engine: Engine = create_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            connect_args={
                "connection_factory": patient(patience_s),
                "application_name": "mathcode",
                **_KEEP_ALIVE,
            },
        )

    @property
    def url(self) -> str:
        """Where this connects to, password included."""
        return self._engine.url.render_as_string(hide_password=False)

    def fetch(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run one statement and return its rows. Raises DatabaseUnavailable."""
        try:
            return self._run(sql, parameters)
        except _Disconnected:
            self._engine.dispose()  # the server was restarted: the other pooled connections are dead as well
        try:
            return self._run(sql, parameters)
        except _Disconnected as error:
            raise _unavailable(error) from error

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run one statement whose result does not matter. Raises DatabaseUnavailable."""
        self.fetch(sql, parameters)

    def migrate(self) -> None:
        """Apply the migrations this database lacks; processes that start together take turns."""
        try:
            with self._engine.connect() as connection, _without_bound(connection):
                connection.exec_driver_sql("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
                try:
                    _apply_missing(connection)
                finally:
                    connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
        except DBAPIError as error:
            if isinstance(error.orig, _SERVER_TROUBLE):
                raise _unavailable(error.orig) from error
            raise
        except psycopg2.ProgrammingError as error:
            raise _bad_url() from error

    def close(self) -> None:
        self._engine.dispose()

    def _run(self, sql: str, parameters: Parameters | None) -> Sequence[Row]:
        connection = self._connection()
        try:
            driver: Any = connection.dbapi_connection  # psycopg2's own
            with driver.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else ()
        except (UndefinedColumn, UndefinedTable) as error:  # a migration is missing
            raise DatabaseUnavailable("the database is not set up yet: try again later") from error
        except _SERVER_TROUBLE as error:
            if driver.closed:
                connection.invalidate(error)
            if isinstance(error, OutOfPatience):
                self._engine.dispose()  # the other pooled connections lead to the same silence
            elif driver.closed:
                raise _Disconnected(*error.args) from error
            raise _unavailable(error) from error
        finally:
            connection.close()

    def _connection(self) -> PoolProxiedConnection:
        try:
            return self._engine.raw_connection()
        except PoolTimeout as error:
            raise DatabaseUnavailable("all database connections are in use: try again later") from error
        except psycopg2.ProgrammingError as error:
            raise _bad_url() from error
        except _SERVER_TROUBLE as error:
            raise _unavailable(error) from error


class _Disconnected(Exception):
    """A pooled connection turned out to be dead."""


# InternalError is, among others, what a server says that became read-only.
_SERVER_TROUBLE = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError)

# A server that vanished from the network is noticed after some ten seconds, and not by the kernel's defaults.
_KEEP_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


@contextmanager
def _without_bound(connection: Connection) -> Iterator[None]:
    """A migration may take long, and so may the wait for another process that migrates."""
    driver: Any = connection.connection.dbapi_connection
    usual, driver.patience_s = driver.patience_s, None
    try:
        yield
    finally:
        driver.patience_s = usual


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _bad_url() from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise _bad_url()
    return parsed.set(drivername="postgresql+psycopg2")


def _bad_url() -> ConfigurationError:
    return ConfigurationError(
        "DATABASE_URL is not one of PostgreSQL: use postgresql://user:password@host:port/name"
    )


def _apply_missing(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS schema_migration"
        " (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied = set(connection.exec_driver_sql("SELECT version FROM schema_migration").scalars())
    known = _migrations()
    if unknown := applied - {version for version, _, _ in known}:
        raise ConfigurationError(f"the database is newer than this program (migration {max(unknown)}): upgrade it")
    for version, name, sql in known:
        if version not in applied:
            record = f"INSERT INTO schema_migration (version, name) VALUES ({version}, '{name}')"  # noqa: S608
            try:
                connection.exec_driver_sql(f"BEGIN; {sql}; {record}; COMMIT")
            except DBAPIError:
                connection.exec_driver_sql("ROLLBACK")
                raise


def _migrations() -> list[tuple[int, str, str]]:
    """(version, name, SQL) of each file `NNNN_name.sql`, in order."""
    found = [entry for entry in files("core").joinpath("migrations").iterdir() if entry.name.endswith(".sql")]
    ordered = sorted(found, key=lambda entry: entry.name)
    return [(int(e.name[:4]), e.name[5:-4], e.read_text(encoding="utf-8")) for e in ordered]


def _unavailable(error: BaseException) -> DatabaseUnavailable:
    """What callers may know; what the server said goes to the log, as it names hosts and users."""
    logger.warning("PostgreSQL: %s", str(error).strip() or type(error).__name__)
    return DatabaseUnavailable("PostgreSQL does not answer: try again later")
