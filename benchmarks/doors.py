"""What does each door of the API cost, and what does an open stream?

    python -m benchmarks.doors [--requests 2000] [--rounds 3] [--streams 500]

Submissions: every row of DOORS by 8 clients at once (rate) and by one (latency), beside plain Celery's `delay()`
from 8 threads and a bare Flask route under the same server; rounds of all three in turns. The scripted engine, or
plain Celery's worker, takes the jobs meanwhile. Streams: milliseconds from a worker's write to the event log until
the text is in the client's hands, alone and beside many other open streams; the API's resident memory before they
opened and while they are; and what other requests take meanwhile.

Caveat: clients, servers and workers share this machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import psutil

from benchmarks.queue_overhead import plain_worker, print_latency
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, eventually, free_port, installation

CLIENTS = 8
LATENCY_SAMPLES = 300
STREAM_S = 8.0
MIB = 2**20
PROMPT = "Solve the equation: 2x^2 + 5x - 3 = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way to submit; `status` is what acceptance answers."""

    name: str
    path: str
    body: dict[str, Any]
    status: int


DOORS = (Door(name="POST /v1/jobs", path="/v1/jobs", body={"prompt": PROMPT, "max_tokens": 1}, status=202),)
BARE = Door(name="a bare Flask route", path="/submit", body={"prompt": PROMPT, "max_tokens": 1}, status=202)


def main() -> None:
    arguments = _arguments()
    with scratch_data_dir() as data_dir, EmbeddedServers(data_dir) as servers:
        urls = servers.urls
        settings = {"MATHCODE_STREAMS": str(arguments.streams + 8)}
        with installation(
            database_url=urls.database_url, redis_url=urls.redis_url, data_dir=data_dir, settings=settings
        ) as ours:
            os.environ.update(ours.environment)
            measure_doors(ours, requests=arguments.requests, rounds=arguments.rounds)
            measure_streams(ours, streams=arguments.streams)


def measure_doors(ours: Installation, *, requests: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {}
    latencies: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, rate, latency in _one_round(ours, requests):
            rates.setdefault(name, []).append(rate)
            latencies.setdefault(name, []).extend(latency)
    print(f"{os.cpu_count()} cores, {requests} submissions x {rounds} rounds (median rates)")
    for name, found in rates.items():
        print(f"{name:40} {statistics.median(found):8.0f}/s   from {CLIENTS} clients")
        print_latency(f"{name}, one client", latencies[name])


def _one_round(ours: Installation, requests: int) -> Iterator[tuple[str, float, list[float]]]:
    with _bare_flask(ours) as port:
        yield BARE.name, _rate(_poster(BARE, port), requests), _latency(_poster(BARE, port))
    with plain_worker(ours, slots=8):
        yield "plain Celery, delay()", _rate(_delay, requests), _latency(_delay)
    ours.start("api", "mathstral", "codestral", "light", "beat")
    for door in DOORS:
        yield door.name, _rate(_poster(door, ours.port), requests), _latency(_poster(door, ours.port))
        eventually(lambda: not _open_jobs(ours), within_s=300, every_s=0.2)
    ours.stop()


def _delay() -> Callable[[], None]:
    from benchmarks.plain_celery import empty

    return lambda: empty.apply_async(ignore_result=True) and None


def _poster(door: Door, port: int) -> Callable[[], Callable[[], None]]:
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


def _rate(connect: Callable[[], Callable[[], None]], requests: int) -> float:
    def work(count: int) -> None:
        submit = connect()
        for _ in range(count):
            submit()

    work(50)
    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, [requests // CLIENTS] * CLIENTS))
    return requests / (time.perf_counter() - start)


def _latency(connect: Callable[[], Callable[[], None]]) -> list[float]:
    submit, samples = connect(), []
    for _ in range(LATENCY_SAMPLES):
        start = time.perf_counter()
        submit()
        samples.append(time.perf_counter() - start)
    return samples


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


def measure_streams(ours: Installation, *, streams: int) -> None:
    """No worker runs, so that jobs stay open; `token_writer` writes in its place."""
    ours.start("api")
    api = psutil.Process(ours.processes["api"].pid)
    jobs = [ours.submit(PROMPT, max_tokens=1) for _ in range(streams + 1)]
    before = api.memory_info().rss
    print_latency("token to client, one stream", _follow(ours, jobs[0], [jobs[0]], rate=50))
    with ExitStack() as opened:
        for job_id in jobs[1:]:
            opened.enter_context(closing(_open(ours, job_id)))
        resident = api.memory_info().rss
        print(f"{streams} more streams: {(resident - before) / MIB:.0f} MiB more, {resident / MIB:.0f} in all")
        cpu = _cpu_share(api, seconds=5.0)
        print(f"while they are silent the API takes {100 * cpu:.0f} % of a core")
        print_latency(f"token to client beside {streams} silent", _follow(ours, jobs[0], [jobs[0]], rate=50))
        print_latency(f"token to client, 200/s to {streams}", _follow(ours, jobs[0], jobs, rate=200))
        print_latency("GET /v1/jobs/{id} meanwhile", _latency(_getter(ours, jobs[0])))
        print_latency("POST /v1/jobs meanwhile", _latency(_poster(DOORS[0], ours.port)))
        print(f"at the end {(api.memory_info().rss - before) / MIB:.0f} MiB more")


def _getter(ours: Installation, job_id: str) -> Callable[[], Callable[[], None]]:
    def connect() -> Callable[[], None]:
        connection = HTTPConnection("127.0.0.1", ours.port, timeout=30)

        def get() -> None:
            connection.request("GET", f"/v1/jobs/{job_id}")
            assert json.loads(connection.getresponse().read())["status"]

        return get

    return connect


def _open(ours: Installation, job_id: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", ours.port), timeout=30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    connection.sendall(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    return connection


def _cpu_share(process: psutil.Process, *, seconds: float) -> float:
    def spent() -> float:
        return float(sum(process.cpu_times()[:2]))

    before = spent()
    time.sleep(seconds)
    return (spent() - before) / seconds


def _follow(ours: Installation, job_id: str, jobs: list[str], *, rate: float) -> list[float]:
    """Seconds from each write to its arrival, of the pieces of `job_id`."""
    samples: list[float] = []
    with closing(_open(ours, job_id)) as connection:
        time.sleep(0.5)
        connection.setblocking(False)
        try:
            while connection.recv(65_536):
                """What was written before."""
        except BlockingIOError:
            connection.settimeout(2.0)
        command = [sys.executable, "-m", "benchmarks.token_writer", str(STREAM_S), str(rate), *jobs]
        writer = subprocess.Popen(command, env=ours.environment)
        while writer.poll() is None:
            try:
                received = connection.recv(65_536)
            except TimeoutError:
                continue
            now = time.monotonic_ns()
            samples.extend((now - int(text)) / 1e9 for text in re.findall(rb'"text":"(\d+)"', received))
    return samples


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    main()
