"""What do callers wait for when they come as they like? Open-loop arrivals at fractions of measured capacity.

    python -m benchmarks.load [--loads 0.5 0.8 1.0 1.5] [--seconds 30] [--max-queued 200]
    python -m benchmarks.load --loads --soak 3600 [--soak-load 0.5]

Capacity is measured first: clients keep KEPT jobs in the system until all of `--capacity-jobs` have ended.
Then, for each load, arrivals of a Poisson process from one seed are submitted whether or not earlier ones were
answered. Every time is counted from the moment at which the arrival was *meant*, also where the sender was late,
so that waiting is not hidden (coordinated omission). `accepted` ends with the answer 202, `ended` with the job's
row in the ledger. What is refused is sent once more after its `Retry-After`; `true` is the share of these that is
accepted then. The resident memory of every process is read before the first load and after the last; `--soak`
adds so many seconds at `--soak-load` of capacity, during which it is read every SAMPLE_S seconds. Events stay in
Redis for ten minutes after a job's end, so that long after the beginning all memory should be flat.

Caveat: senders, servers and workers share this machine's cores; the scripted engine answers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from threading import Event, Lock, Thread, local

import psutil

from core.database import Database
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, eventually, installation

SENDERS = 64
SLOTS = 8
KEPT = 64
SAMPLED = 20
"""So many of the refused come again."""
SAMPLE_S = 300.0
TOKENS = 8
CHUNK = 10_000
"""Ends read by one statement."""
SEED = 20_261_126
MIB = 2**20
PROCESSES = ("api", "mathstral", "codestral", "light", "beat")


@dataclass
class Sent:
    """What became of the arrivals; times are in seconds from the intended moment."""

    meant: dict[str, float] = field(
        default_factory=dict
    )  # id of an accepted job -> when it was meant (wall clock)
    accepted: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    again: Counter[int] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)


class Senders:
    """Many clients, each with a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = local()

    def post(self, number: int) -> tuple[int, str | None, dict[str, object]]:
        """Status, `Retry-After` and body; status 0 where the connection broke."""
        kind = ("math", "code")[number % 2]
        body = json.dumps({"prompt": f"Question {number}", "max_tokens": TOKENS, "force_task_type": kind})
        connection = getattr(self._own, "connection", None) or HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            found = json.loads(response.read())
        except (OSError, HTTPException):
            self._own.connection = None
            return 0, None, {}
        self._own.connection = connection
        return response.status, response.getheader("Retry-After"), found


def capacity(ours: Installation, ledger: Database, *, jobs: int) -> float:
    """Jobs that end per second while about KEPT of them are in the system."""
    senders, number = Senders(ours.port), 0
    start = time.perf_counter()
    with ThreadPoolExecutor(SLOTS) as pool:
        while number < jobs:
            room = min(KEPT - _open(ledger), jobs - number)
            for status, _, found in pool.map(senders.post, range(number, number + max(0, room))):
                assert status == 202, found
            number += max(0, room)
            time.sleep(0.005)
    eventually(lambda: not _open(ledger), within_s=60, every_s=0.01)
    return jobs / (time.perf_counter() - start)


def _open(ledger: Database) -> int:
    (row,) = ledger.fetch("SELECT count(*) AS n FROM job WHERE state IN ('queued', 'running')")
    return int(row["n"])


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Moments of a Poisson process, in seconds from its beginning."""
    chance, at = random.Random(seed), 0.0  # noqa: S311 -- repeatable
    while (at := at + chance.expovariate(rate)) < seconds:
        yield at


def offer(ours: Installation, *, rate: float, seconds: float) -> Sent:
    """Submit when each is meant; returns when every sender has its answer."""
    sent, senders, begun = Sent(), Senders(ours.port), time.time() + 0.2
    with ThreadPoolExecutor(SAMPLED) as patient, ThreadPoolExecutor(SENDERS) as pool:
        for number, at in enumerate(arrivals(rate, seconds, SEED)):
            time.sleep(max(0.0, begun + at - time.time()))
            pool.submit(_send, senders, sent, number, begun + at).add_done_callback(
                lambda done: _try_again(senders, sent, patient, done.result())
            )
    return sent


def _send(senders: Senders, sent: Sent, number: int, meant: float) -> float | None:
    """The `Retry-After` of a refusal."""
    status, retry_after, found = senders.post(number)
    with sent.lock:
        if status == 202:
            sent.accepted.append(time.time() - meant)
            sent.meant[str(found["id"])] = meant
            return None
        sent.refused[f"{status}{'' if retry_after else ' without Retry-After'}"] += 1
    return float(retry_after) if retry_after else None


def _try_again(senders: Senders, sent: Sent, patient: ThreadPoolExecutor, wait_s: float | None) -> None:
    """Some of the refused do as they are told, on threads of their own, so that they hold up nobody."""
    if wait_s is None or len(sent.waits) >= SAMPLED:
        return
    sent.waits.append(wait_s)

    def again() -> None:
        time.sleep(wait_s)
        sent.again[senders.post(-1)[0]] += 1

    patient.submit(again)


def ended_after(ledger: Database, sent: Sent) -> list[float]:
    """Seconds from the intended moment until each accepted job was final."""
    eventually(lambda: not _open(ledger), within_s=600, every_s=0.1)
    sql = """SELECT id::text AS id, extract(epoch FROM finished_at)::float8 AS at
             FROM job WHERE id = ANY (%(ids)s::uuid[])"""
    ids = list(sent.meant)
    chunks = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
    return [row["at"] - sent.meant[row["id"]] for chunk in chunks for row in ledger.fetch(sql, {"ids": chunk})]


def resident(ours: Installation, servers: EmbeddedServers) -> dict[str, float]:
    """MiB of each process; of PostgreSQL the sum of what its processes do not share."""
    found = {name: psutil.Process(each.pid).memory_info().rss / MIB for name, each in ours.processes.items()}
    if servers.redis.pid and servers.postgres.pid:
        found["redis"] = psutil.Process(servers.redis.pid).memory_info().rss / MIB
        first = psutil.Process(servers.postgres.pid)
        found["postgres"] = sum(each.memory_full_info().uss / MIB for each in (first, *first.children()))
    return found


def percentiles(values: list[float]) -> str:
    if not values:
        return "      -       -       -       -"
    ordered = sorted(1000 * value for value in values)
    return " ".join(
        f"{ordered[min(len(ordered) - 1, int(q * len(ordered)))]:7.0f}" for q in (0.5, 0.95, 0.99, 1.0)
    )


def print_load(load: float, rate: float, sent: Sent, ended: list[float]) -> None:
    refused = sent.refused.total()
    true = f"{100 * sent.again[202] / sent.again.total():.0f} %" if sent.again else "-"
    waits = f"{min(sent.waits):.0f} to {max(sent.waits):.0f} s" if sent.waits else "-"
    print(
        f"{load:4.2f} {rate:8.1f} {len(sent.accepted):8d} {refused:8d} {percentiles(sent.accepted)}"
        f" {percentiles(ended)}   Retry-After {waits}, true {true}"
        + (f"; {dict(sent.refused)}" if refused else ""),
        flush=True,
    )


def measure(ours: Installation, servers: EmbeddedServers, chosen: argparse.Namespace) -> None:
    with closing(Database(servers.urls.database_url)) as ledger:
        most = capacity(ours, ledger, jobs=chosen.capacity_jobs)
        print(
            f"{os.cpu_count()} cores; {chosen.max_queued} may wait; capacity {most:.1f} jobs/s of {TOKENS} tokens"
        )
        print("load   jobs/s accepted  refused    accepted ms p50 p95 p99 max      ended ms p50 p95 p99 max")
        before = resident(ours, servers)
        read = [before]
        for load in chosen.loads:
            run(ours, ledger, load=load, rate=load * most, seconds=chosen.seconds)
        if chosen.soak:
            with sampled(ours, servers, read):
                run(ours, ledger, load=chosen.soak_load, rate=chosen.soak_load * most, seconds=chosen.soak)
        read.append(resident(ours, servers))
    print(f"resident MiB: first, every {SAMPLE_S:.0f} s of the soak, last")
    for name in before:
        print(f"{name:12} {' '.join(f'{one[name]:6.1f}' for one in read)}")


def run(ours: Installation, ledger: Database, *, load: float, rate: float, seconds: float) -> None:
    sent = offer(ours, rate=rate, seconds=seconds)
    print_load(load, rate, sent, ended_after(ledger, sent))


@contextmanager
def sampled(ours: Installation, servers: EmbeddedServers, read: list[dict[str, float]]) -> Iterator[None]:
    """Meanwhile the memory is read every SAMPLE_S seconds."""
    over = Event()

    def sample() -> None:
        while not over.wait(SAMPLE_S):
            read.append(resident(ours, servers))

    thread = Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=float, nargs="*", default=[0.5, 0.8, 1.0, 1.5])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--max-queued", type=int, default=200)
    parser.add_argument("--capacity-jobs", type=int, default=2000)
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--soak-load", type=float, default=0.5)
    chosen = parser.parse_args()
    with scratch_data_dir() as data_dir, EmbeddedServers(data_dir) as servers:
        settings = {"MATHCODE_SLOTS": str(SLOTS), "MATHCODE_MAX_QUEUED": str(chosen.max_queued)}
        with installation(
            database_url=servers.urls.database_url,
            redis_url=servers.urls.redis_url,
            data_dir=data_dir,
            settings=settings,
        ) as ours:
            ours.start(*PROCESSES)
            measure(ours, servers, chosen)


if __name__ == "__main__":
    main()
