"""What does an open stream cost, and how long is a token under way? A part of doors.py.

Milliseconds from a worker's write to the event log until the text is in the client's hands, alone and beside many
other open streams; the API's resident memory before they opened and while they are; what other requests take.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import psutil

from benchmarks.latency import print_latency, sample
from tests.harness import Installation

STREAM_S = 8.0
MIB = 2**20


def measure_streams(
    ours: Installation, *, streams: int, prompt: str, post: Callable[[], Callable[[], None]]
) -> None:
    """No worker runs, so that jobs stay open; `token_writer` writes in its place. `post` submits one more."""
    ours.start("api")
    api = psutil.Process(ours.processes["api"].pid)
    jobs = [ours.submit(prompt, max_tokens=1) for _ in range(streams + 1)]
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
        print_latency("GET /v1/jobs/{id} meanwhile", sample(_getter(ours, jobs[0])))
        print_latency("POST /v1/jobs meanwhile", sample(post))
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
