"""The restart of docs/production.md, one process after the other under load: no request, no text is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

from core.database import Database
from stack.servers import ServerUrls
from tests.faults.following import Followed, Follower
from tests.harness import Installation, eventually, free_port, installation

ORDER = ("light", "beat", "mathstral", "mathstral-2", "codestral", "codestral-2", "api", "api-2")
RATE = 10.0
TOKENS = 60
FOLLOWED = 5
"""Every so many jobs one is followed from its beginning."""


@dataclass
class Callers:
    """Clients of a balancer: who is refused a connection by one API asks the other; nothing is sent twice."""

    urls: tuple[str, str]
    jobs: list[str] = field(default_factory=list)
    streams: list[Future[Followed]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)

    def run(self) -> None:
        with ThreadPoolExecutor(32) as pool:
            number = 0
            while not self.is_over.wait(1 / RATE):
                pool.submit(self._submit, number, pool)
                number += 1
            for stream in self.streams:
                stream.result(60)

    def _submit(self, number: int, pool: ThreadPoolExecutor) -> None:
        body = {
            "prompt": f"Question {number}",
            "max_tokens": TOKENS,
            "force_task_type": ("math", "code")[number % 2],
        }
        answer = self._ask(number, body)
        if answer is None:
            return
        self.jobs.append(answer["id"])
        if number % FOLLOWED == 0:
            url = self.urls[random.Random(number).randrange(2)]
            self.streams.append(pool.submit(Follower(url, answer["id"]).follow, 60.0))

    def _ask(self, number: int, body: dict[str, Any]) -> dict[str, Any] | None:
        for url in (self.urls[number % 2], self.urls[(number + 1) % 2]):
            try:
                response = requests.post(f"{url}/v1/jobs", json=body, timeout=20)
            except requests.ConnectionError as error:
                if "Connection refused" in str(error):
                    continue
                self.lost.append(f"{number}: {error}")
                return None
            if response.status_code != 202:
                self.lost.append(f"{number}: {response.status_code} {response.text[:200]}")
                return None
            found: dict[str, Any] = response.json()
            return found
        self.lost.append(f"{number}: both refuse")
        return None


@dataclass(frozen=True)
class Fleet:
    running: Installation
    other_port: int

    def launch(self, name: str) -> None:
        own = {"MATHCODE_PORT": str(self.other_port)} if name == "api-2" else {}
        self.running.launch(name, **own)

    @property
    def urls(self) -> tuple[str, str]:
        return self.running.url, f"http://127.0.0.1:{self.other_port}"

    def restart(self, name: str) -> int:
        """SIGTERM, wait for its end, start it again, wait until it serves; the exit status."""
        greetings = self._greetings(name)
        status = self.running.terminate(name)
        self.launch(name)
        eventually(lambda: self._is_healthy(name) or self._greetings(name) > greetings, within_s=60)
        return status

    def _greetings(self, name: str) -> int:
        return self.running.log(name).read_text(encoding="utf-8").count(" ready.") if self._says_ready(name) else 0

    def _is_healthy(self, name: str) -> bool:
        if self._says_ready(name):
            return False
        if name == "beat":
            return self.running.processes[name].poll() is None
        try:
            return requests.get(f"{self.urls[name == 'api-2']}/healthz", timeout=2).ok
        except requests.ConnectionError:
            return False

    def _says_ready(self, name: str) -> bool:
        return name != "beat" and not name.startswith("api")


@pytest.fixture
def fleet(urls: ServerUrls, database: Database, tmp_path: Path) -> Iterator[Fleet]:
    settings = {"MATHCODE_SCRIPTED_DELAY_S": "0.02", "MATHCODE_DRAIN_S": "5"}
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=tmp_path, settings=settings
    ) as running:
        made = Fleet(running, free_port())
        for name in ORDER:
            made.launch(name)
        for name in ORDER:
            eventually(lambda name=name: made._is_healthy(name) or made._greetings(name), within_s=60)  # type: ignore[misc]
        yield made


@pytest.mark.timeout(300)
def test_every_process_is_restarted_under_load_and_nothing_is_lost(fleet: Fleet, database: Database) -> None:
    callers = Callers(fleet.urls)
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(callers.run)
        eventually(lambda: len(callers.jobs) > 10)
        statuses = {name: fleet.restart(name) for name in ORDER}
        callers.is_over.set()
        calling.result(120)
    assert statuses == dict.fromkeys(ORDER, 0)
    assert callers.lost == []
    answers = {job_id: fleet.running.finished(job_id) for job_id in callers.jobs}
    assert {answer["status"] for answer in answers.values()} == {"succeeded"}
    (row,) = database.fetch("SELECT sum(lost) AS lost FROM completion")
    assert row["lost"] == 0
    _require_whole([stream.result() for stream in callers.streams], answers)


def _require_whole(streams: list[Followed], answers: dict[str, dict[str, Any]]) -> None:
    assert len(streams) > len(ORDER)
    for seen in streams:
        assert (seen.broken, seen.done) == ([], ["succeeded"])
        (completion,) = answers[seen.job_id]["answer"]["completions"]
        assert seen.pieces[completion["model"]] == completion["text"]
