"""What does our ledger cost on top of plain Celery? Same servers, same run, jobs of one token.

    python -m benchmarks.queue_overhead [--jobs 3000] [--slots 8] [--rounds 3]

Plain Celery: `delay()` on an empty task, threads pool, acks_late, Redis results; done when every result is there.
Ours: (a) `POST /v1/jobs` over HTTP, (b) `tasks.submit` in the client process; the scripted model answers with one
token; done when every job's row is final. Each side runs with only its own processes alive. Latency is measured
with one request in flight: plain = delay() to result; ours = start of the POST to the first piece of text in the
event log (so it includes the first model step), and to the final row.

Caveats: client, servers and workers share this machine's cores; Flower is not running, so workers send no events.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import requests
from redis import Redis

from benchmarks.latency import print_latency
from core.database import Database
from stack.servers.embedded import EmbeddedServers
from tests.harness import Installation, eventually, installation

CLIENT_THREADS = 8
LATENCY_SAMPLES = 300
BODY = {"prompt": "Solve the equation: 2x^2 + 5x - 3 = 0", "max_tokens": 1}


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="mathcode-bench-") as directory:
        data_dir = Path(directory)
        data_dir.chmod(0o711)
        with EmbeddedServers(data_dir) as servers:
            urls = servers.urls
            settings = {"MATHCODE_SLOTS": str(arguments.slots)}
            with installation(
                database_url=urls.database_url, redis_url=urls.redis_url, data_dir=data_dir, settings=settings
            ) as ours:
                os.environ.update(ours.environment)
                measure(ours, jobs=arguments.jobs, rounds=arguments.rounds, slots=arguments.slots)


def measure(ours: Installation, *, jobs: int, rounds: int, slots: int) -> None:
    plain_rates, plain_latency = _plain(jobs, rounds, slots, ours)
    ours.start("api", "mathstral", "light", "beat")
    with closing(Database(ours.database_url)) as ledger:
        http_rates = [_rate(ledger, jobs, lambda n: _post_many(ours, n)) for _ in range(rounds)]
        submit_rates = [_rate(ledger, jobs, _submitter()) for _ in range(rounds)]
        first, final = _latency(ours)
    plain = statistics.median(plain_rates)
    print(f"{os.cpu_count()} cores, {jobs} jobs x {rounds} rounds (medians), {slots} slots")
    print(f"{'plain Celery, end to end':40} {plain:8.0f}/s")
    for name, rates in (
        ("ours over HTTP, end to end", http_rates),
        ("ours by tasks.submit, end to end", submit_rates),
    ):
        rate = statistics.median(rates)
        print(f"{name:40} {rate:8.0f}/s  {100 * rate / plain:5.0f} % of plain Celery")
    print_latency("plain Celery, delay() to result", plain_latency)
    print_latency("ours, POST to first piece of text", first)
    print_latency("ours, POST to final row (polled)", final)


@contextmanager
def plain_worker(ours: Installation, slots: int) -> Iterator[None]:
    """A warm worker of plain Celery on our servers."""
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "benchmarks.plain_celery", "worker"]
    with ours.log("plain").open("wb") as log:
        worker = subprocess.Popen([*command, "-c", str(slots)], stdout=log, stderr=log, env=ours.environment)
    try:
        eventually(lambda: " ready." in ours.log("plain").read_text() or _ping())
        from benchmarks.plain_celery import empty

        for result in [empty.delay() for _ in range(100)]:
            result.get(timeout=30)
        yield
    finally:
        worker.terminate()
        worker.wait()


def _plain(jobs: int, rounds: int, slots: int, ours: Installation) -> tuple[list[float], list[float]]:
    with plain_worker(ours, slots):
        return [_plain_rate(jobs) for _ in range(rounds)], _plain_latency()


def _ping() -> bool:
    from benchmarks.plain_celery import app

    return bool(app.control.ping(timeout=0.5))


def _plain_rate(jobs: int) -> float:
    """Counted by result keys, not by waiting for each result: the cheapest way to see the end."""
    from benchmarks.plain_celery import empty
    from core.settings import load_settings

    with closing(Redis.from_url(load_settings().require_redis_url())) as redis:
        for key in redis.scan_iter("celery-task-meta-*", count=1000):
            redis.delete(key)
        others = redis.dbsize()
        start = time.perf_counter()
        with ThreadPoolExecutor(CLIENT_THREADS) as pool:
            list(pool.map(lambda _: empty.apply_async(ignore_result=False), range(jobs), chunksize=50))
        eventually(lambda: redis.dbsize() >= others + jobs, within_s=300, every_s=0.01)
        return jobs / (time.perf_counter() - start)


def _plain_latency() -> list[float]:
    from benchmarks.plain_celery import empty

    samples = []
    for _ in range(LATENCY_SAMPLES):
        start = time.perf_counter()
        empty.delay().get(timeout=10, interval=0.001)
        samples.append(time.perf_counter() - start)
    return samples


def _rate(ledger: Database, jobs: int, submit_many: Callable[[int], None]) -> float:
    submit_many(100)
    eventually(lambda: not _is_busy(ledger), within_s=60)
    start = time.perf_counter()
    submit_many(jobs)
    eventually(lambda: not _is_busy(ledger), within_s=300, every_s=0.01)
    return jobs / (time.perf_counter() - start)


def _is_busy(ledger: Database) -> bool:
    """By an index: counting open jobs would cost the more, the longer the run."""
    return any(
        ledger.fetch("SELECT 1 FROM job WHERE state = %(state)s LIMIT 1", {"state": state})
        for state in ("queued", "running")
    )


def _post_many(ours: Installation, jobs: int) -> None:
    body = json.dumps(BODY)  # a lean client: it shares the cores with what is measured

    def work(count: int) -> None:
        with closing(HTTPConnection("127.0.0.1", ours.port, timeout=30)) as connection:
            for _ in range(count):
                connection.request("POST", "/v1/jobs", body)
                response = connection.getresponse()
                response.read()
                assert response.status == 202

    with ThreadPoolExecutor(CLIENT_THREADS) as pool:
        list(pool.map(work, [jobs // CLIENT_THREADS] * CLIENT_THREADS))


def _submitter() -> Callable[[int], None]:
    from api.app import build_services
    from core.messages import GenerationRequest, Sampling
    from core.settings import load_settings
    from tasks.celery_app import app

    submitter = build_services(load_settings(), app).submitter
    request = GenerationRequest(prompt=BODY["prompt"], sampling=Sampling(max_tokens=1))

    def submit_many(jobs: int) -> None:
        with ThreadPoolExecutor(CLIENT_THREADS) as pool:
            list(pool.map(lambda _: submitter.submit(request), range(jobs), chunksize=50))

    return submit_many


def _latency(ours: Installation) -> tuple[list[float], list[float]]:
    """Seconds from POST to the first piece (by the stream's own clock, in ms) and to the final row."""
    first, final = [], []
    with closing(Redis.from_url(ours.redis_url)) as redis, requests.Session() as session:
        for _ in range(LATENCY_SAMPLES):
            wall, start = time.time(), time.perf_counter()
            job_id = session.post(f"{ours.url}/v1/jobs", json=BODY, timeout=30).json()["id"]
            while session.get(f"{ours.url}/v1/jobs/{job_id}", timeout=30).json()["status"] != "succeeded":
                time.sleep(0.001)
            final.append(time.perf_counter() - start)
            entry_id, _ = redis.xrange(f"mathcode:events:{job_id}", count=1)[0]
            first.append(int(entry_id.split(b"-")[0]) / 1000 - wall)
    return first, final


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
