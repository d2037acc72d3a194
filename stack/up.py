"""`mathcode up` as one story: lock, servers, processes, ready, until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from core.errors import ConfigurationError, DatabaseUnavailable
from core.options import Profile
from core.settings import Settings, child_environment, read_settings
from stack.child import Child
from stack.layout import Layout
from stack.ledger import prepare_ledger
from stack.lock import hold_lock
from stack.processes import app_commands
from stack.readiness import api_url, ask_status, flower_url, missing_parts
from stack.servers import ServerUrls
from stack.servers.embedded import embedded_postgres, embedded_redis
from stack.servers.postgres import PostgresServer
from stack.services import flower_password, publish, service_variables, withdraw
from stack.state import ProcessPhase, StackState, end_survivors, read_state, write_state
from stack.supervisor import Say, Supervisor

Announce = Callable[[StackState], None]


def run_stack(*, say: Say, announce: Announce, shows_every_line: bool = False) -> None:
    """Run the stack of the configured data directory until SIGINT, SIGTERM or `mathcode down`.

    `announce` is called once, when everything that can run serves.
    """
    first = read_settings()
    layout = Layout(first.data_dir)
    layout.create()
    with hold_lock(layout, url=api_url(first)), _stoppable_start():
        withdraw(layout)  # what a killed stack left must not be mistaken for the operator's own servers
        Stack(read_settings(), layout, say=say, announce=announce).run(shows_every_line=shows_every_line)


class Stack:
    """One run of all processes on a data directory whose lock is held."""

    def __init__(self, settings: Settings, layout: Layout, *, say: Say, announce: Announce) -> None:
        self._settings = settings
        self._layout = layout
        self._say = say
        self._announce = announce
        self._started = time.time()
        self._ready: float | None = None

    def run(self, *, shows_every_line: bool) -> None:
        self._clear_the_way()
        if self._settings.profile_choice is Profile.AUTO and self._settings.profile is Profile.MINI:
            self._say("stack", f"small demonstration models, not the 7B ones: {self._settings.obstacle_to_full}")
        with ExitStack() as cleanup:
            servers, urls = self._start_servers(cleanup)
            cleanup.callback(withdraw, self._layout)
            self._prepare_ledger(urls.database_url)
            password = flower_password(self._settings, self._layout)
            variables = service_variables(self._settings, urls, password)
            publish(self._layout, variables)
            environment = child_environment(
                **variables, MATHCODE_DATA_DIR=str(self._layout.data_dir), PYTHONUNBUFFERED="1"
            )
            stages = app_commands(self._settings, self._layout, environment=environment, flower_password=password)
            self._supervisor = Supervisor(
                [*([server] for server in servers), *([Child(command) for command in stage] for stage in stages)],
                say=self._say,
                on_change=self._write_state,
                on_tick=self._look_for_readiness,
                shows_every_line=shows_every_line,
            )
            self._supervisor.run()

    def _clear_the_way(self) -> None:
        """Refuse taken ports; end what a killed stack left."""
        previous = read_state(self._layout)
        if previous is not None and (count := end_survivors(previous)):
            self._say("stack", f"ended {count} processes of a stack that was killed")
        _require_free(self._settings.host, self._settings.port, "MATHCODE_PORT")
        _require_free("127.0.0.1", self._settings.flower_port, "MATHCODE_FLOWER_PORT")
        if self._settings.trainer_port:
            _require_free(self._settings.host, self._settings.trainer_port, "MATHCODE_TRAINER_PORT")

    def _start_servers(self, cleanup: ExitStack) -> tuple[list[Child], ServerUrls]:
        """Start the servers for which the operator named no URL of his own."""
        servers: list[Child] = []
        database, redis = self._settings.database_url, self._settings.redis_url
        if database is None:
            postgres = embedded_postgres(self._layout)
            cleanup.callback(_end_postgres, postgres)
            postgres.start()
            servers.append(postgres)
        if redis is None:
            broker = embedded_redis(self._layout)
            cleanup.callback(broker.stop)
            broker.start()
            servers.append(broker)
        return servers, ServerUrls(
            database_url=database.get_secret_value() if database else postgres.url,
            redis_url=redis.get_secret_value() if redis else broker.url,
        )

    def _prepare_ledger(self, database_url: str) -> None:
        try:
            prepare_ledger(database_url)
        except DatabaseUnavailable as error:  # the operator's own: every process copes with its absence
            self._say("stack", str(error))

    def _look_for_readiness(self) -> None:
        if self._ready is not None:
            return
        refused = {w.child.name for w in self._supervisor.watched if w.phase is ProcessPhase.REFUSED}
        if missing_parts(ask_status(api_url(self._settings))) <= refused - {"api"}:
            self._ready = time.time()
            self._write_state()
            self._announce(self._state())

    def _write_state(self) -> None:
        write_state(self._layout, self._state())

    def _state(self) -> StackState:
        return StackState(
            pid=os.getpid(),
            started=self._started,
            ready=self._ready,
            profile=self._settings.profile.value,
            api_url=api_url(self._settings),
            flower_url=flower_url(self._settings),
            data_dir=str(self._layout.data_dir),
            processes=tuple(watched.state() for watched in self._supervisor.watched),
        )


def _end_postgres(postgres: PostgresServer) -> None:
    postgres.stop()
    postgres.close()


def _require_free(host: str, port: int, variable: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ConfigurationError(
            f"port {port} on {host} cannot be used ({os.strerror(error.errno or 0)}): set {variable} to a free one"
        ) from error


@contextmanager
def _stoppable_start() -> Iterator[None]:
    """Until the supervisor takes the signals over, SIGTERM ends the start as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
