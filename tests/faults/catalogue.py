"""The kinds of faults, and which of them a seed draws when."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.breaking import (
    Breaking,
    Fault,
    clock_stepped,
    cut,
    disk_full,
    frozen,
    killed,
    messages_dropped,
    messages_duplicated,
    messages_shuffled,
    partitioned,
    postgres_exhausted,
    postgres_frozen,
    postgres_killed,
    postgres_read_only,
    postgres_restarted,
    redis_emptied,
    redis_frozen,
    redis_full,
    redis_killed,
    redis_restarted_empty,
    refused,
    slow,
    stopped,
    trainer_killed,
)
from tests.faults.clocks import LIBRARY
from tests.faults.world import PROCESSES, WORKERS, World


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
