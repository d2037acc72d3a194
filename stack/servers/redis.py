"""The embedded Redis-compatible server: loopback, password, append-only file, no eviction."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import redis

from stack.accounts import Account
from stack.child import Command
from stack.files import keep_secret, make_directory, write_private
from stack.layout import Layout
from stack.servers.leftovers import end_leftovers
from stack.servers.server import Server

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{directory}"
daemonize no
logfile ""
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory-policy noeviction
"""


class RedisServer(Server):
    """One server on a port chosen when this object is made."""

    def __init__(
        self, layout: Layout, *, program: Path, account: Account | None, environment: dict[str, str]
    ) -> None:
        self._directory = layout.redis
        self._password = keep_secret(layout.secrets / "redis-password")
        self._port = free_port()
        self._account = account
        self._file = layout.redis / "redis.conf"
        make_directory(layout.redis, mode=0o700, owner=account)
        command = Command(
            name="redis",
            argv=(str(program), str(self._file)),
            log=layout.log("redis"),
            cwd=layout.redis,
            environment=environment,
            account=account,
            orphan_signal=signal.SIGTERM,
        )
        super().__init__(command, url=f"redis://:{self._password}@127.0.0.1:{self._port}/0")

    def prepare(self) -> None:
        end_leftovers(self._directory)
        text = CONFIGURATION.format(
            port=self._port,
            password=self._password,
            directory=str(self._directory).replace("\\", "\\\\").replace('"', '\\"'),
        )
        write_private(self._file, text, owner=self._account)

    def answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=1.0, socket_connect_timeout=1.0) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:  # not listening yet, or still loading its file
                return False
            except redis.TimeoutError:
                return False


def free_port() -> int:
    """A loopback TCP port that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
