"""A Redis that answers and takes no writes, as one whose disk is full: it is waited for like one that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from core.database import Database
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, eventually, installation

REFUSAL = "NOREPLICAS"


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    with scratch_data_dir() as directory, EmbeddedServers(directory) as servers:
        with closing(Database(servers.urls.database_url)) as database:
            database.migrate()
        with installation(
            database_url=servers.urls.database_url, redis_url=servers.urls.redis_url, data_dir=tmp_path
        ) as made:
            yield made


def test_workers_live_through_it_and_what_was_accepted_meanwhile_is_answered(installed: Installation) -> None:
    processes = ("api", "mathstral", "light", "beat")
    installed.start(*processes)
    assert installed.ask("Prove that 7 is prime", max_tokens=2)["status"] == "succeeded"
    with closing(Redis.from_url(installed.redis_url)) as redis:
        redis.config_set("min-replicas-to-write", 1)
        job_id = installed.submit("Prove that 11 is prime", max_tokens=2)
        for name in ("mathstral", "light"):
            eventually(lambda name=name: REFUSAL in installed.log(name).read_text(encoding="utf-8"))  # type: ignore[misc]
        redis.config_set("min-replicas-to-write", 0)
    assert installed.finished(job_id, within_s=30)["status"] == "succeeded"
    assert [name for name in processes if installed.processes[name].poll() is not None] == []
