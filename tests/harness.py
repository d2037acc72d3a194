"""Real processes for tests: a ledger and a Redis of their own, API and workers as a user would start them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import psycopg2
import requests
from redis import Redis
from sqlalchemy.engine import make_url

ROOT = Path(__file__).resolve().parent.parent
FINAL = {"succeeded", "failed", "dead", "cancelled", "expired"}
T = TypeVar("T")


def eventually(probe: Callable[[], T | None], *, within_s: float = 30.0, every_s: float = 0.02) -> T:
    """The first truthy value of `probe`, or an AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {probe}")
        Event().wait(every_s)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def create_schema(url: str, name: str) -> str:
    """Make an empty schema; the URL that sees only it."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {name}")
    narrowed = make_url(url).update_query_dict({"options": f"-csearch_path={name}"})
    return narrowed.render_as_string(hide_password=False)


@dataclass
class Installation:
    """The processes of one installation, started one by one: api, mathstral, codestral, light, training, beat."""

    database_url: str
    redis_url: str
    data_dir: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)  # what a worker takes for the name of its host

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MATHCODE_")}
        return {
            **inherited,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "MATHCODE_DATA_DIR": str(self.data_dir),
            "MATHCODE_PORT": str(self.port),
            "MATHCODE_TRAINER_PORT": "0",
            "MATHCODE_PROFILE": "scripted",
            "ROUTER": "keywords",  # which model answers must not depend on weights
            "MATHCODE_LEASE_S": "3",
            "MATHCODE_RECONCILE_S": "0.5",
            **self.settings,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *names: str, **settings: str) -> None:
        """Start processes and wait until they serve. A second worker of a queue is called `codestral-2`."""
        for name in names:
            self.launch(name, **settings)
        for name in names:
            self.await_ready(name)

    def launch(self, name: str, **settings: str) -> subprocess.Popen[bytes]:
        log = self.log(name).open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *_command(name, self.data_dir, self.hosts.get(name, "%h"))],
                cwd=ROOT,
                env={**self.environment, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.processes[name]

    def log(self, name: str) -> Path:
        return self.data_dir / f"{name}.log"

    def await_ready(self, name: str) -> None:
        if name == "api":
            eventually(lambda: self._alive(name) and _answers(f"{self.url}/healthz"))
        elif name != "beat":
            eventually(lambda: self._alive(name) and " ready." in self.log(name).read_text(), within_s=60)

    def _alive(self, name: str) -> bool:
        code = self.processes[name].poll()
        assert code is None, f"{name} ended with {code}: {self.log(name).read_text()[-3000:]}"
        return True

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL one process and reap it."""
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def terminate(self, name: str, *, within_s: float = 20) -> int:
        """SIGTERM one process; its exit code."""
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(within_s)

    def stop(self) -> None:
        """End what still runs, at once; tests of how a process leaves have it `terminate`."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", json=body, timeout=30, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=30, **options)

    def submit(self, prompt: str, **fields: Any) -> str:
        response = self.post("/v1/jobs", {"prompt": prompt, **fields})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        response = self.get(f"/v1/jobs/{job_id}")
        assert response.status_code == 200, response.text
        view: dict[str, Any] = response.json()
        return view

    def status(self, job_id: str) -> str:
        return str(self.job(job_id)["status"])

    def finished(self, job_id: str, *, within_s: float = 60.0) -> dict[str, Any]:
        """The job once it is final."""
        eventually(lambda: self.status(job_id) in FINAL, within_s=within_s)
        return self.job(job_id)

    def ask(self, prompt: str, **fields: Any) -> dict[str, Any]:
        return self.finished(self.submit(prompt, **fields))

    def await_running(self, job_id: str) -> None:
        eventually(lambda: self.status(job_id) == "running")

    def events(self, job_id: str, *, after: str | None = None) -> list[tuple[str | None, str, dict[str, Any]]]:
        """(id, event, data) of a job's stream until it ends."""
        headers = {"Last-Event-ID": after} if after else {}
        with self.get(f"/v1/jobs/{job_id}/events", headers=headers, stream=True) as response:
            assert response.status_code == 200, response.text
            return list(_parse_events(response.iter_lines(decode_unicode=True)))


@contextmanager
def installation(**arguments: Any) -> Iterator[Installation]:
    running = Installation(**arguments)
    try:
        yield running
    finally:
        running.stop()


def has_text(installed: Installation, job_id: str, *, models: int = 1) -> bool:
    """Whether so many models have written pieces of the job's text."""
    with closing(Redis.from_url(installed.redis_url)) as redis:
        entries = redis.xrange(f"mathcode:events:{job_id}")
    pieces = [json.loads(fields[b"event"]) for _, fields in entries]
    return len({piece["model"] for piece in pieces if piece["event"] == "piece"}) >= models


def _command(name: str, data_dir: Path, host: str) -> list[str]:
    if name.startswith("api"):
        return ["-m", "api"]
    celery = ["-W", "ignore", "-m", "celery", "-q", "-A", "tasks.celery_app"]
    if name == "beat":
        return [*celery, "beat", "-s", str(data_dir / "beat-schedule"), "--pidfile="]
    queue = name.partition("-")[0]
    concurrency = ["-c", "1"] if queue == "training" else []
    return [
        *celery,
        "worker",
        *concurrency,
        "-Q",
        queue,
        "-n",
        f"{name}@{host}",
        "--without-gossip",
        "--without-mingle",
    ]


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def _parse_events(lines: Iterator[str]) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields.get("id"), fields["event"], json.loads(fields["data"])
            fields = {}
