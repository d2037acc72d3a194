"""Both embedded servers as one thing to start and stop."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from stack.layout import Layout
from stack.servers.binaries import find_postgres, find_redis
from stack.servers.postgres import PostgresServer
from stack.servers.redis import RedisServer

# Nothing of ours: a server needs none of our secrets, and its behaviour must not depend on the caller's locale.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """How clients reach the two servers; both contain passwords."""

    database_url: str
    redis_url: str


class EmbeddedServers:
    """PostgreSQL and Redis on one data directory, which nobody else may be using.

    `postgres` and `redis` can be stopped, killed and started one by one; their URLs stay.
    """

    def __init__(self, data_dir: Path) -> None:
        self._layout = Layout(data_dir.absolute())
        self._layout.create()
        self.postgres = embedded_postgres(self._layout)
        self.redis = embedded_redis(self._layout)

    @property
    def urls(self) -> ServerUrls:
        return ServerUrls(database_url=self.postgres.url, redis_url=self.redis.url)

    def start(self) -> ServerUrls:
        """Return when both answer."""
        self.postgres.start()
        self.redis.start()
        return self.urls

    def stop(self) -> None:
        """Stop both; idempotent."""
        self.redis.stop()
        self.postgres.stop()
        self.postgres.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def embedded_postgres(layout: Layout) -> PostgresServer:
    """The PostgreSQL of a created layout, not yet started."""
    account = layout.account()
    programs = find_postgres(layout, account)
    return PostgresServer(layout, programs=programs, account=account, environment=_ENVIRONMENT)


def embedded_redis(layout: Layout) -> RedisServer:
    """The Redis of a created layout, not yet started."""
    account = layout.account()
    program = find_redis(layout, account)
    return RedisServer(layout, program=program, account=account, environment=_ENVIRONMENT)
