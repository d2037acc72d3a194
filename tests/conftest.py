"""Real servers for every test that needs them: started once per run, a database of its own for each user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from redis import Redis

from core.database import Database
from stack.servers import EmbeddedServers, ServerUrls, scratch_data_dir
from tests.harness import Installation, create_schema, installation

REDIS_DATABASES = 16


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """PostgreSQL and Redis on a directory that an unprivileged server account can reach."""
    with scratch_data_dir() as directory, EmbeddedServers(directory) as started:
        yield started


@pytest.fixture(scope="session")
def new_urls(servers: EmbeddedServers) -> Callable[[], ServerUrls]:
    """URLs of a fresh, migrated ledger in a schema of its own and an empty Redis database, at each call."""
    numbers = count()

    def make() -> ServerUrls:
        number = next(numbers)
        database_url = create_schema(servers.urls.database_url, f"test_{number}")
        with closing(Database(database_url)) as ledger:
            ledger.migrate()
        redis_url = f"{servers.urls.redis_url.rpartition('/')[0]}/{number % REDIS_DATABASES}"
        with closing(Redis.from_url(redis_url)) as redis:
            redis.flushdb()
        return ServerUrls(database_url=database_url, redis_url=redis_url)

    return make


@pytest.fixture
def urls(new_urls: Callable[[], ServerUrls]) -> ServerUrls:
    return new_urls()


@pytest.fixture
def database(urls: ServerUrls) -> Iterator[Database]:
    with closing(Database(urls.database_url)) as opened:
        yield opened


@pytest.fixture
def fresh(urls: ServerUrls, tmp_path: Path) -> Iterator[Installation]:
    """An installation with nothing started yet, for tests that break things."""
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def running(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A complete installation with scripted models, shared by the tests of one module."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("installation")
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory) as made:
        made.start("api", "mathstral", "codestral", "light", "beat")
        yield made
