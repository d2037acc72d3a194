"""Checks of PostgreSQL and Redis, where the operator names his own; embedded ones are started as they must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from redis import Redis
from redis.exceptions import RedisError

from core.database import Database
from core.errors import ConfigurationError, DatabaseUnavailable
from core.settings import Settings
from stack.checkup.finding import Finding, failed, ok, warning

OLDEST_POSTGRES = 130_000
TIMEOUT_S = 3.0


def check_servers(settings: Settings) -> Iterator[Finding]:
    if settings.database_url is None:
        yield ok("postgresql", "embedded: `mathcode up` starts it")
    else:
        yield _postgres(settings.database_url.get_secret_value(), connections=_connections(settings))
    if settings.redis_url is None:
        yield ok("redis", "embedded: `mathcode up` starts it")
    else:
        yield from _redis(settings.redis_url.get_secret_value())


def _connections(settings: Settings) -> int:
    """Of one API and one worker of each kind (docs/operations.md)."""
    return 16 + 3 * (settings.slots + 5) + 6


def _postgres(url: str, *, connections: int) -> Finding:
    try:
        with closing(Database(url, connections=1)) as database:
            (row,) = database.fetch(
                "SELECT current_setting('server_version_num')::int AS version,"
                " current_setting('server_version') AS words, current_setting('max_connections')::int AS most"
            )
    except (DatabaseUnavailable, ConfigurationError) as error:
        return failed("postgresql", error.message, "start it, and check host, user and password in DATABASE_URL")
    words = f"{row['words']}, {row['most']} connections"
    if row["version"] < OLDEST_POSTGRES:
        return failed("postgresql", words, "use PostgreSQL 13 or newer")
    if row["most"] < connections:
        return warning("postgresql", words, f"set max_connections to {connections} or more")
    return ok("postgresql", words)


def _redis(url: str) -> Iterator[Finding]:
    try:
        with closing(Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)) as redis:
            redis.ping()
            wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction"}
            for name, value in wanted.items():
                found = redis.config_get(name).get(name)
                if found != value:
                    yield warning("redis", f"{name} is {found}", f"set `{name} {value}`: queues would be lost")
            yield ok("redis", str(redis.info("server").get("redis_version", "answers")))
    except RedisError as error:
        yield failed("redis", str(error), "start it, and check host and password in REDIS_URL")
