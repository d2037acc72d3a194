"""The ways to break the world and to mend it again."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import psutil
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.faults.proxy import Proxy
from tests.faults.world import PROCESSES, World
from tests.trainings import trainers_of

QUEUES = ("mathstral", "codestral", "light")
STEP_S = 3600.0
"""By which a clock goes wrong."""
LISTS = [f"{queue}{step}" for queue in QUEUES for step in ("", "\x06\x163", "\x06\x166")]
"""Where kombu keeps messages: one list for each priority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Begins when job number `after` is submitted; `dice` is the seed of what it decides by chance."""

    number: int
    after: int
    kind: str
    victim: str
    lasts_s: float
    dice: int

    @property
    def name(self) -> str:
        return f"{self.kind} {self.victim}" if self.victim in PROCESSES else self.kind


Breaking = Callable[[World, Fault], AbstractContextManager[None]]


@contextmanager
def killed(world: World, fault: Fault) -> Iterator[None]:
    world.kill(fault.victim)
    yield
    world.launch(fault.victim)


@contextmanager
def frozen(world: World, fault: Fault) -> Iterator[None]:
    process = world.running.processes[fault.victim]
    process.send_signal(signal.SIGSTOP)
    yield
    process.send_signal(signal.SIGCONT)


@contextmanager
def stopped(world: World, fault: Fault) -> Iterator[None]:
    world.stop(fault.victim)
    yield
    world.launch(fault.victim)


@contextmanager
def redis_killed(world: World, fault: Fault) -> Iterator[None]:
    """Its append-only file is at most a second behind."""
    world.servers.redis.kill()
    yield
    world.on_hands(world.servers.redis.start)


@contextmanager
def redis_restarted_empty(world: World, fault: Fault) -> Iterator[None]:
    """Killed, and its disk is lost."""
    with world.redis() as redis:
        directory = redis.config_get("dir")["dir"]
    world.servers.redis.kill()
    shutil.rmtree(f"{directory}/appendonlydir", ignore_errors=True)
    yield
    world.on_hands(world.servers.redis.start)


@contextmanager
def redis_emptied(world: World, fault: Fault) -> Iterator[None]:
    with world.redis() as redis:
        redis.flushall()
    yield


@contextmanager
def redis_frozen(world: World, fault: Fault) -> Iterator[None]:
    world.servers.redis.signal(signal.SIGSTOP)
    yield
    world.servers.redis.signal(signal.SIGCONT)


@contextmanager
def redis_full(world: World, fault: Fault) -> Iterator[None]:
    with world.redis() as redis:
        redis.config_set("maxmemory", 1)
        yield
        redis.config_set("maxmemory", 0)


@contextmanager
def refused(world: World, fault: Fault) -> Iterator[None]:
    way = _way(world, fault)
    way.refuse()
    yield
    way.heal()


@contextmanager
def partitioned(world: World, fault: Fault) -> Iterator[None]:
    way = _way(world, fault)
    way.partition()
    yield
    way.heal()


@contextmanager
def slow(world: World, fault: Fault) -> Iterator[None]:
    way = _way(world, fault)
    way.delay(random.Random(fault.dice).uniform(0.05, 0.5))
    yield
    way.heal()


@contextmanager
def cut(world: World, fault: Fault) -> Iterator[None]:
    """Every connection ends, again and again."""
    for _ in range(random.Random(fault.dice).randint(1, 5)):
        _way(world, fault).cut()
    yield


@contextmanager
def postgres_killed(world: World, fault: Fault) -> Iterator[None]:
    """SIGKILL of the first process; it starts again by recovery."""
    pid = world.servers.postgres.pid
    backends = psutil.Process(pid).children() if pid else []
    world.servers.postgres.kill()
    for backend in backends:
        with suppress(psutil.NoSuchProcess):
            backend.kill()
    yield
    world.on_hands(world.servers.postgres.start)


@contextmanager
def postgres_restarted(world: World, fault: Fault) -> Iterator[None]:
    world.servers.postgres.stop()
    yield
    world.on_hands(world.servers.postgres.start)


@contextmanager
def postgres_frozen(world: World, fault: Fault) -> Iterator[None]:
    world.signal_postgres(signal.SIGSTOP)
    yield
    world.signal_postgres(signal.SIGCONT)


@contextmanager
def postgres_read_only(world: World, fault: Fault) -> Iterator[None]:
    """As a full disk or a switch to a replica makes it."""
    world.administer("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    yield
    world.administer("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


@contextmanager
def postgres_exhausted(world: World, fault: Fault) -> Iterator[None]:
    """No further connection is possible, and those that were open have gone."""
    world.administer(
        "ALTER ROLE mathcode CONNECTION LIMIT 0",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mathcode'",
    )
    yield
    world.administer("ALTER ROLE mathcode CONNECTION LIMIT -1")


@contextmanager
def clock_stepped(world: World, fault: Fault) -> Iterator[None]:
    """One way, and back again."""
    world.clocks.set(fault.victim, random.Random(fault.dice).choice((-1, 1)) * STEP_S)
    yield
    world.clocks.set(fault.victim, 0)


@contextmanager
def disk_full(world: World, fault: Fault) -> Iterator[None]:
    """What the server makes of it is its own; where it gave up, it is started again."""
    full = world.disks[fault.victim]
    assert full is not None
    full.fill()
    yield
    full.empty()
    if fault.victim == "postgres":
        world.revive_postgres()


@contextmanager
def trainer_killed(world: World, fault: Fault) -> Iterator[None]:
    """The process that computes, not the worker that watches it; nothing where no training runs."""
    for process in trainers_of(world.running.data_dir):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    yield


@contextmanager
def messages_duplicated(world: World, fault: Fault) -> Iterator[None]:
    with world.redis() as redis:
        for name, messages in _messages(redis):
            redis.lpush(name, *messages)
    yield


@contextmanager
def messages_shuffled(world: World, fault: Fault) -> Iterator[None]:
    with world.redis() as redis:
        for name, messages in _messages(redis):
            random.Random(fault.dice).shuffle(messages)
            redis.pipeline().ltrim(name, len(messages), -1).lpush(name, *messages).execute()
    yield


@contextmanager
def messages_dropped(world: World, fault: Fault) -> Iterator[None]:
    with world.redis() as redis:
        for name, messages in _messages(redis):
            redis.rpop(name, max(1, len(messages) // 2))
    yield


def _messages(redis: Redis) -> Iterator[tuple[str, list[bytes]]]:
    """The messages that wait now, by list; none while the server is away."""
    with suppress(RedisConnectionError):
        for name in LISTS:
            if messages := redis.lrange(name, 0, -1):
                yield name, list(messages)


def _way(world: World, fault: Fault) -> Proxy:
    return world.broker_way if fault.victim == "redis" else world.ledger_way
