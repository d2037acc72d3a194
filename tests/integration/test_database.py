"""Laws of the connection to PostgreSQL: migrations, lost connections, absent servers."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from core.database import Database
from core.errors import ConfigurationError, DatabaseUnavailable
from core.patience import CONNECT_S
from stack.servers.embedded import ServerUrls
from tests.harness import create_schema


def test_many_processes_may_migrate_at_once(urls: ServerUrls) -> None:
    empty = create_schema(urls.database_url, "migrated_together")

    def migrate(_: int) -> None:
        with closing(Database(empty)) as database:
            database.migrate()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(migrate, range(6)))
    with closing(Database(empty)) as database:
        assert database.fetch("SELECT count(*) AS n FROM job")[0]["n"] == 0


def test_a_database_that_is_not_set_up_is_unavailable_and_not_a_bug(urls: ServerUrls) -> None:
    with (
        closing(Database(create_schema(urls.database_url, "bare"))) as database,
        pytest.raises(DatabaseUnavailable),
    ):
        database.fetch("SELECT * FROM job")


def test_a_database_that_lacks_a_migration_is_unavailable_and_not_a_bug(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        database.fetch("SELECT a_column_of_tomorrow FROM job")


def test_a_newer_database_is_refused(database: Database) -> None:
    database.execute("INSERT INTO schema_migration (version, name) VALUES (9999, 'future')")
    with pytest.raises(ConfigurationError, match="newer"):
        database.migrate()


def test_broken_connections_are_replaced_without_the_caller_noticing(database: Database) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: database.fetch("SELECT pg_sleep(0.1)"), range(3)))
    with closing(Database(database.url)) as other:
        killed = other.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query = 'SELECT pg_sleep(0.1)' AND pid <> pg_backend_pid()"
        )
    assert len(killed) == 3
    assert database.fetch("SELECT 1 AS one")[0]["one"] == 1


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/none", "postgres://nobody@127.0.0.1:1/none"])
def test_a_server_that_is_away_is_unavailable(url: str) -> None:
    with closing(Database(url)) as database, pytest.raises(DatabaseUnavailable):
        database.fetch("SELECT 1")


def test_a_server_that_is_silent_is_unavailable_before_long(urls: ServerUrls) -> None:
    with closing(Database(urls.database_url, patience_s=0.3)) as database:
        start = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            database.fetch("SELECT pg_sleep(20)")
        assert time.monotonic() - start < 5
        assert database.fetch("SELECT 1 AS one")[0]["one"] == 1


def test_a_server_that_accepts_and_says_nothing_is_unavailable_before_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/c"
        start = time.monotonic()
        with closing(Database(url)) as database, pytest.raises(DatabaseUnavailable):
            database.fetch("SELECT 1")
        assert time.monotonic() - start < 3 * CONNECT_S


def test_a_url_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError):
        Database("not a url")
