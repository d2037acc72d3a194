"""The faults: each is a way to break the world and to mend it again."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import psutil
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.faults.clocks import LIBRARY
from tests.faults.proxy import Proxy
from tests.faults.world import PROCESSES, WORKERS, World
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


@dataclass(frozen=True, slots=True)
class Kind:
    """How to break, whom, for how long (seconds), and how often beside the others."""

    breaking: Breaking
    victims: tuple[str, ...]
    lasts_s: tuple[float, float]
    weight: float = 1.0


KINDS: Mapping[str, Kind] = {
    "kill": Kind(killed, PROCESSES, (0.0, 2.0), 8.0),
    "kill of a model's worker": Kind(killed, WORKERS, (0.0, 2.0), 6.0),
    "freeze": Kind(frozen, PROCESSES, (0.5, 10.0), 5.0),
    "SIGTERM": Kind(stopped, PROCESSES, (0.0, 1.0), 5.0),
    "Redis killed": Kind(redis_killed, ("redis",), (0.0, 4.0), 2.0),
    "Redis restarted empty": Kind(redis_restarted_empty, ("redis",), (0.0, 4.0), 2.0),
    "Redis emptied": Kind(redis_emptied, ("redis",), (0.0, 0.0), 2.0),
    "Redis frozen": Kind(redis_frozen, ("redis",), (0.5, 8.0)),
    "Redis full": Kind(redis_full, ("redis",), (0.5, 6.0)),
    "Redis refuses": Kind(refused, ("redis",), (0.5, 12.0)),
    "Redis partitioned": Kind(partitioned, ("redis",), (0.5, 8.0)),
    "Redis slow": Kind(slow, ("redis",), (1.0, 5.0)),
    "Redis connections cut": Kind(cut, ("redis",), (0.0, 0.0)),
    "PostgreSQL killed": Kind(postgres_killed, ("postgres",), (0.0, 3.0)),
    "PostgreSQL restarted": Kind(postgres_restarted, ("postgres",), (0.0, 3.0)),
    "PostgreSQL frozen": Kind(postgres_frozen, ("postgres",), (0.5, 6.0)),
    "PostgreSQL refuses": Kind(refused, ("postgres",), (0.5, 6.0)),
    "PostgreSQL partitioned": Kind(partitioned, ("postgres",), (0.5, 8.0)),
    "PostgreSQL slow": Kind(slow, ("postgres",), (1.0, 5.0)),
    "PostgreSQL connections cut": Kind(cut, ("postgres",), (0.0, 0.0)),
    "PostgreSQL read-only": Kind(postgres_read_only, ("postgres",), (0.5, 5.0)),
    "PostgreSQL out of connections": Kind(postgres_exhausted, ("postgres",), (0.5, 5.0)),
    "trainer killed": Kind(trainer_killed, ("training",), (0.0, 0.0), 2.0),
    "clock": Kind(clock_stepped, PROCESSES, (2.0, 8.0), 3.0),
    "PostgreSQL's clock": Kind(clock_stepped, ("postgres",), (2.0, 8.0), 2.0),
    "PostgreSQL's disk full": Kind(disk_full, ("postgres",), (0.5, 6.0)),
    "Redis' disk full": Kind(disk_full, ("redis",), (0.5, 6.0)),
    "messages duplicated": Kind(messages_duplicated, ("redis",), (0.0, 0.0), 2.0),
    "messages shuffled": Kind(messages_shuffled, ("redis",), (0.0, 0.0), 2.0),
    "messages dropped": Kind(messages_dropped, ("redis",), (0.0, 0.0), 2.0),
}


def missing(world: World) -> Mapping[str, str]:
    """Kinds of faults that cannot be made here, and why."""
    found = {}
    if LIBRARY is None:
        found |= dict.fromkeys(("clock", "PostgreSQL's clock"), "the package libfaketime is not here")
    if None in world.disks.values():
        found |= dict.fromkeys(("PostgreSQL's disk full", "Redis' disk full"), "only root may mount a disk")
    return found


def draw(seed: int, *, faults: int, jobs: int) -> list[Fault]:
    """The schedule of a seed, the same everywhere: kinds by weight, spread over the jobs."""
    chance = random.Random(f"faults {seed}")
    names, weights = list(KINDS), [kind.weight for kind in KINDS.values()]
    moments = sorted(chance.randrange(jobs) for _ in range(faults))
    return [_draw_one(chance, number, after, names, weights) for number, after in enumerate(moments)]


def _draw_one(chance: random.Random, number: int, after: int, names: list[str], weights: list[float]) -> Fault:
    (name,) = chance.choices(names, weights)
    kind = KINDS[name]
    return Fault(
        number=number,
        after=after,
        kind=name,
        victim=chance.choice(kind.victims),
        lasts_s=round(chance.uniform(*kind.lasts_s), 2),
        dice=chance.getrandbits(32),
    )
