"""What does each door of the API cost, and what does an open stream?

    python -m benchmarks.doors [--requests 2000] [--rounds 3] [--lines 5000] [--streams 500]

Every row of DOORS by 8 clients at once (rate) and by one (latency), beside plain Celery's `delay()` from 8
threads and a bare Flask route under the same server; rounds of all in turns. The scripted engine, or plain
Celery's worker, takes the jobs meanwhile. `POST /v1/jobs` returns when the job is accepted, as `delay()` does;
OpenAI's doors when it is answered, streamed or not, so do not compare these two kinds. A batch's rate is of
lines that became jobs in the ledger, from its creation on; its latency that of `POST /v1/batches` for one line,
answered meanwhile. Streams: see open_streams.py.

Caveat: clients, servers and workers share this machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from benchmarks import batches
from benchmarks.latency import print_latency, sample
from benchmarks.open_streams import measure_streams
from benchmarks.queue_overhead import plain_worker
from core.database import Database
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, eventually, free_port, installation

CLIENTS = 8
PROMPT = "Solve the equation: 2x^2 + 5x - 3 = 0"
NATIVE = {"prompt": PROMPT, "max_tokens": 1}
CHAT = {"model": "mathcode", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 1}
TEXT = {"model": "mathcode", "prompt": PROMPT, "max_tokens": 1}

Connect = Callable[[], Callable[[], None]]
"""Opens a connection and returns what asks once over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way to ask; `status` is what acceptance answers."""

    name: str
    path: str
    body: dict[str, Any]
    status: int = 200


BARE = Door(name="a bare Flask route", path="/submit", body=NATIVE, status=202)
SUBMIT = Door(name="POST /v1/jobs", path="/v1/jobs", body=NATIVE, status=202)
DOORS = (
    SUBMIT,
    Door(name="/v1/chat/completions", path="/v1/chat/completions", body=CHAT),
    Door(name="/v1/chat/completions, streamed", path="/v1/chat/completions", body={**CHAT, "stream": True}),
    Door(name="/v1/completions", path="/v1/completions", body=TEXT),
)
BATCH = "lines of a batch; POST /v1/batches"


def main() -> None:
    arguments = _arguments()
    with scratch_data_dir() as data_dir, EmbeddedServers(data_dir) as servers:
        urls = servers.urls
        settings = {"MATHCODE_STREAMS": str(arguments.streams + 8)}
        with installation(
            database_url=urls.database_url, redis_url=urls.redis_url, data_dir=data_dir, settings=settings
        ) as ours:
            os.environ.update(ours.environment)
            measure_doors(ours, requests=arguments.requests, rounds=arguments.rounds, lines=arguments.lines)
            post = _poster(SUBMIT, ours.port)
            measure_streams(ours, streams=arguments.streams, prompt=PROMPT, post=post)


def measure_doors(ours: Installation, *, requests: int, rounds: int, lines: int) -> None:
    rates: dict[str, list[float]] = {}
    latencies: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, rate, latency in _one_round(ours, requests, lines):
            rates.setdefault(name, []).append(rate)
            latencies.setdefault(name, []).extend(latency)
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{os.cpu_count()} cores, {load}, {requests} requests x {rounds} rounds (median rates)")
    for name, found in rates.items():
        print(f"{name:40} {statistics.median(found):8.0f}/s   {', '.join(f'{rate:.0f}' for rate in found)}")
        print_latency(f"{name}, one client", latencies[name])


def _one_round(ours: Installation, requests: int, lines: int) -> Iterator[tuple[str, float, list[float]]]:
    with _bare_flask(ours) as port:
        yield BARE.name, _rate(_poster(BARE, port), requests), sample(_poster(BARE, port))
    with plain_worker(ours, slots=CLIENTS):
        yield "plain Celery, delay()", _rate(_delay, requests), sample(_delay)
    ours.start("api", "mathstral", "codestral", "light", "beat")
    for door in DOORS:
        yield door.name, _rate(_poster(door, ours.port), requests), sample(_poster(door, ours.port))
        eventually(lambda: not _open_jobs(ours), within_s=300, every_s=0.2)
    yield BATCH, _line_rate(ours, lines), sample(lambda: _batch_maker(ours), number=50)
    eventually(lambda: not _open_batches(ours), within_s=300, every_s=0.2)
    ours.stop()


def _line_rate(ours: Installation, lines: int) -> float:
    """Lines that became jobs, a second; the workers answer the first ones meanwhile."""
    content = ours.data_dir / "in.jsonl"
    batches.write_lines(content, lines, 0)
    file_id = batches.upload(ours, content)
    start = time.perf_counter()
    batch = batches.create(ours, file_id)
    with closing(Database(ours.database_url)) as ledger:
        eventually(lambda: batches.is_enqueued(ledger, batch), within_s=300, every_s=0.02)
    seconds = time.perf_counter() - start
    ours.post(f"/v1/batches/batch_{batch['id']}/cancel")
    batches.await_end(ours, batch["id"])
    return lines / seconds


def _batch_maker(ours: Installation) -> Callable[[], None]:
    content = ours.data_dir / "in.jsonl"
    batches.write_lines(content, 1, 0)
    file_id = batches.upload(ours, content)
    return lambda: batches.create(ours, file_id) and None


def _delay() -> Callable[[], None]:
    from benchmarks.plain_celery import empty

    return lambda: empty.apply_async(ignore_result=True) and None


def _poster(door: Door, port: int) -> Connect:
    body = json.dumps(door.body)

    def connect() -> Callable[[], None]:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)

        def post() -> None:
            connection.request("POST", door.path, body)
            response = connection.getresponse()
            response.read()
            assert response.status == door.status, response.status

        return post

    return connect


def _rate(connect: Connect, requests: int) -> float:
    def work(count: int) -> None:
        submit = connect()
        for _ in range(count):
            submit()

    work(50)
    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, [requests // CLIENTS] * CLIENTS))
    return requests / (time.perf_counter() - start)


@contextmanager
def _bare_flask(ours: Installation) -> Iterator[int]:
    port = free_port()
    with ours.log("bare").open("wb") as log:
        command = [sys.executable, "-m", "benchmarks.bare_flask", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: _listens(port))
        yield port
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _open_jobs(ours: Installation) -> bool:
    return any(ours.get("/v1/jobs", params={"status": state}).json()["data"] for state in ("queued", "running"))


def _open_batches(ours: Installation) -> bool:
    views = ours.get("/v1/batches", params={"limit": 100}).json()["data"]
    return any(view["status"] not in {"completed", "cancelled"} for view in views)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--streams", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    main()
