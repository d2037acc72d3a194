"""An installation to be broken: servers behind proxies, processes that are started again as a supervisor would."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any
from urllib.parse import unquote

import psutil
import requests
from redis import Redis
from sqlalchemy.engine import make_url

from core.database import Database
from stack.servers import EmbeddedServers, scratch_data_dir
from tests import trainings
from tests.faults.audit import Records
from tests.faults.clocks import Clocks
from tests.faults.disks import Disk, disk
from tests.faults.proxy import Proxy, Upstream, proxy
from tests.harness import Installation, installation
from tests.receivers import Receiver, receiver

WORKERS = ("mathstral", "mathstral-2", "codestral", "codestral-2")
PROCESSES = (*WORKERS, "light", "beat", "api", "training")
SETTINGS = {
    **trainings.SETTINGS,
    "MATHCODE_PROFILE": "scripted",  # but for who trains
    "MATHCODE_TRAINING_PAUSES": "none",
    "MATHCODE_LEASE_S": "6",
    "MATHCODE_RECONCILE_S": "2",
    "MATHCODE_MAX_ATTEMPTS": "20",  # nobody's job deserves to end `dead` here
    "MATHCODE_SCRIPTED_DELAY_S": "0.01",
    "MATHCODE_WEBHOOK_ALLOW": "127.0.0.0/8",
}
POSTGRES_BACK_S = 60.0
LONGEST_STOP_S: Mapping[str, float] = defaultdict(lambda: 30.0, training=120.0)
"""A process told to stop is gone after this long, whatever else is broken; a training saves before."""


@dataclass
class World:
    """`running` reaches PostgreSQL and Redis only through `ledger_way` and `broker_way`."""

    servers: EmbeddedServers
    ledger_way: Proxy
    broker_way: Proxy
    running: Installation
    receiver: Receiver
    clocks: Clocks
    disks: Mapping[str, Disk | None]  # those of postgres and redis
    hands: ThreadPoolExecutor  # a server dies with the thread that started it, so one thread starts them
    locks: dict[str, RLock] = field(default_factory=lambda: defaultdict(RLock))
    ended: Counter[str] = field(default_factory=Counter)  # process and exit status, by themselves
    broken: list[str] = field(default_factory=list)  # laws of processes that did not hold
    probes: list[str] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)

    @property
    def records(self) -> Records:
        return Records(self.servers.urls.database_url)

    def redis(self) -> Redis:
        """The server itself, not through its proxy."""
        return Redis.from_url(self.servers.urls.redis_url, socket_timeout=5.0)

    def on_hands(self, action: Callable[[], object]) -> None:
        self.hands.submit(action).result()

    def pid(self, name: str) -> int:
        return self.running.processes[name].pid

    def held_by(self, name: str) -> Sequence[dict[str, Any]]:
        """The completions that a worker's process works at: id, model, attempt."""
        return self.records.rows(_HELD, {"pid": self.pid(name)})

    def kill(self, name: str) -> None:
        self.running.processes[name].kill()
        self.running.processes[name].wait()

    def stop(self, name: str) -> None:
        """SIGTERM; noted as broken where that takes too long or ends badly."""
        process = self.running.processes[name]
        process.terminate()
        try:
            status = process.wait(LONGEST_STOP_S[name])
        except subprocess.TimeoutExpired:
            self.broken.append(f"{name} was not gone {LONGEST_STOP_S[name]:.0f} s after SIGTERM")
            self.kill(name)
            return
        if status != 0:
            self.ended[f"{name} on SIGTERM: {status}"] += 1

    def launch(self, name: str) -> None:
        own = {"MATHCODE_PROFILE": "tiny"} if name == "training" else {}
        self.running.launch(name, **own, **self.clocks.environment(name))

    def signal_postgres(self, number: signal.Signals) -> None:
        """To the first process and every backend; each has a group of its own."""
        pid = self.servers.postgres.pid
        if pid is None:
            return
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def revive_postgres(self) -> None:
        """Return when it answers again, also where it has ended."""
        end = time.monotonic() + POSTGRES_BACK_S
        while not self.servers.postgres.answers():
            if self.servers.postgres.poll() is not None:
                self.on_hands(self.servers.postgres.start)
            if time.monotonic() > end:
                raise TimeoutError(f"PostgreSQL was not back after {POSTGRES_BACK_S:.0f} s")
            Event().wait(0.1)

    def probe(self, kind: str) -> str:
        """Submit a short urgent job; its id. Raises whatever keeps it from being accepted."""
        body = {"prompt": "Probe", "max_tokens": 1, "priority": "high", "force_task_type": kind}
        response = requests.post(f"{self.running.url}/v1/jobs", json=body, timeout=10)
        response.raise_for_status()
        self.probes.append(str(response.json()["id"]))
        return self.probes[-1]

    def is_final(self, job_id: str) -> bool:
        """As the ledger says, whatever the API does."""
        sql = "SELECT count(*) FROM job WHERE id = %(id)s AND finished_at IS NOT NULL"
        return bool(self.records.count(sql, {"id": job_id}))

    def administer(self, *statements: str) -> None:
        """As PostgreSQL's superuser."""
        connection = self.servers.postgres.connect_as_admin()
        with closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def keep(self) -> None:
        """Start again what ended by itself, until the world is over."""
        while not self.is_over.wait(0.5):
            for name in PROCESSES:
                lock = self.locks[name]
                if lock.acquire(blocking=False):
                    try:
                        self._revive(name)
                    finally:
                        lock.release()

    def _revive(self, name: str) -> None:
        status = self.running.processes[name].poll()
        if status is not None and not self.is_over.is_set():
            self.ended[f"{name}: {status}"] += 1
            self.launch(name)


_HELD = """
SELECT job_id::text AS id, model, attempt FROM completion
WHERE state = 'running' AND worker LIKE '%%:' || %(pid)s::text || '-%%'
"""


@contextmanager
def world(directory: Path) -> Iterator[World]:
    """Everything started and serving; logs lie in `directory`."""
    with ExitStack() as stack:
        hands = stack.enter_context(ThreadPoolExecutor(1))
        scratch = stack.enter_context(scratch_data_dir())
        servers, clocks = EmbeddedServers(scratch), Clocks(scratch)
        command = servers.postgres.command
        clock = {**command.environment, **clocks.environment("postgres")}
        servers.postgres.command = replace(command, environment=clock)
        disks = {name: stack.enter_context(disk(scratch / name)) for name in ("postgres", "redis")}
        hands.submit(servers.start).result()
        stack.callback(lambda: hands.submit(servers.stop).result())
        ledger_url, broker_url = make_url(servers.urls.database_url), make_url(servers.urls.redis_url)
        socket = Path(unquote(str(ledger_url.query["host"]))) / ".s.PGSQL.5432"
        ledger_way = stack.enter_context(proxy(Upstream(path=socket)))
        broker_way = stack.enter_context(proxy(Upstream(port=broker_url.port or 0)))
        with closing(Database(servers.urls.database_url)) as database:
            database.migrate()
        way = ledger_url.set(host="127.0.0.1", port=ledger_way.port, query={})
        running = stack.enter_context(
            installation(
                database_url=way.render_as_string(hide_password=False),
                redis_url=broker_url.set(port=broker_way.port).render_as_string(hide_password=False),
                data_dir=directory,
                settings=dict(SETTINGS),
            )
        )
        heard = stack.enter_context(receiver())
        made = World(servers, ledger_way, broker_way, running, heard, clocks, disks, hands)
        made.records.prepare()
        for name in PROCESSES:
            made.launch(name)
        for name in PROCESSES:
            running.await_ready(name)
        stack.enter_context(_kept(made))
        yield made


@contextmanager
def _kept(made: World) -> Iterator[None]:
    keeper = Thread(target=made.keep, name="keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        made.is_over.set()
        keeper.join(30)


def seconds_until(claim: Callable[[], bool], *, within_s: float, every_s: float = 0.05) -> float | None:
    """How long until it holds; None if it does not within the bound. What cannot be asked does not hold yet."""
    start = time.monotonic()
    while time.monotonic() - start <= within_s:
        with suppress(Exception):
            if claim():
                return time.monotonic() - start
        Event().wait(every_s)
    return None
