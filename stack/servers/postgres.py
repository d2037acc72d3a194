"""The embedded PostgreSQL: unix socket only, password, durable."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection

from core.errors import ConfigurationError
from stack.accounts import Account
from stack.child import Command
from stack.files import keep_secret, make_directory, write_private
from stack.layout import Layout
from stack.servers.leftovers import end_leftovers
from stack.servers.server import Server

SOCKET_PATH_LIMIT_BYTES = 107
_SOCKET_NAME = ".s.PGSQL.5432"
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",  # only the socket's name
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class PostgresServer(Server):
    """One cluster with the role and database `mathcode`; the superuser `postgres` is for maintenance."""

    def __init__(
        self, layout: Layout, *, programs: Path, account: Account | None, environment: dict[str, str]
    ) -> None:
        self._data = layout.postgres / "data"
        self._programs = programs
        self._account = account
        self._password = keep_secret(layout.secrets / "postgres-password")
        self._admin_password = keep_secret(layout.secrets / "postgres-admin-password")
        make_directory(layout.postgres, mode=0o700, owner=account)
        self._socket_dir = _socket_directory(layout, account)
        quoted = str(self._socket_dir).replace('"', '""')
        options = {**_SETTINGS, "unix_socket_directories": f'"{quoted}"'}
        command = Command(
            name="postgres",
            argv=(
                str(programs / "postgres"),
                *("-D", str(self._data)),
                *(word for key, value in options.items() for word in ("-c", f"{key}={value}")),
            ),
            log=layout.log("postgres"),
            cwd=layout.postgres,
            environment=environment,
            account=account,
            stop_steps=((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)),  # fast, then immediate shutdown
            orphan_signal=signal.SIGINT,
        )
        host = quote(str(self._socket_dir))
        super().__init__(command, url=f"postgresql://mathcode:{self._password}@/mathcode?host={host}")

    def prepare(self) -> None:
        end_leftovers(self._data)
        # Whoever wrote these works here no more, but another process may have got its number since.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        (self._socket_dir / f"{_SOCKET_NAME}.lock").unlink(missing_ok=True)
        if not self._data.exists():
            self._initialise()

    def answers(self) -> bool:
        try:
            with closing(self.connect_as_admin()):
                return True
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ConfigurationError(
                    f"the password in {self._data.parent.with_name('secrets')} is not the one "
                    f"{self._data} was made with: restore that file"
                ) from error
            return False

    def finish(self) -> None:
        """Role and database, where missing; the role's password is always the stored one."""
        with closing(self.connect_as_admin()) as admin, admin.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'mathcode'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE ROLE mathcode LOGIN")
            cursor.execute(sql.SQL("ALTER ROLE mathcode PASSWORD {}").format(sql.Literal(self._password)))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'mathcode'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE DATABASE mathcode OWNER mathcode")

    def connect_as_admin(self) -> connection:
        """A connection of the superuser, for maintenance; each statement is committed by itself."""
        admin: connection = psycopg2.connect(
            host=str(self._socket_dir), user="postgres", password=self._admin_password, dbname="postgres"
        )
        admin.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        return admin

    def close(self) -> None:
        """Remove the socket directory, where it is a temporary one."""
        if self._data.parent.parent not in self._socket_dir.parents:
            shutil.rmtree(self._socket_dir, ignore_errors=True)

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        draft = self._data.with_name("data.partial")
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self._data.with_name("password")
        write_private(password_file, self._admin_password, owner=self._account)
        try:
            self._run_initdb(draft, password_file)
        finally:
            password_file.unlink()
        draft.rename(self._data)

    def _run_initdb(self, target: Path, password_file: Path) -> None:
        options = ("--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale")
        result = subprocess.run(
            [self._programs / "initdb", "-D", target, *options, f"--pwfile={password_file}"],
            cwd=self._data.parent,
            env=dict(self.command.environment),
            capture_output=True,
            text=True,
            check=False,
            **(self._account.popen_options() if self._account else {}),
        )
        if result.returncode != 0:
            raise ConfigurationError(f"PostgreSQL cannot be set up in {target}: {result.stderr.strip()[-500:]}")


def _socket_directory(layout: Layout, account: Account | None) -> Path:
    """`run/postgres`, or a private temporary directory where that path is too long for a socket.

    The same where it has a comma, by which clients separate several hosts.
    """
    usual = layout.run / "postgres"
    if len(str(usual / _SOCKET_NAME).encode()) <= SOCKET_PATH_LIMIT_BYTES and "," not in str(usual):
        make_directory(usual, mode=0o700, owner=account)
        return usual
    temporary = Path(tempfile.mkdtemp(prefix="mathcode-"))
    if account is not None:
        shutil.chown(temporary, account.uid, account.gid)
    return temporary
