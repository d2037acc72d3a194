"""Servers that are silent rather than gone, and how soon all is well again; each law in its smallest form."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from core.patience import STATEMENT_S
from tests.faults.catalogue import KINDS, Fault
from tests.faults.world import World, seconds_until, world
from tests.harness import eventually

SLACK_S = 4.0


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One installation for all of these; each test leaves it mended."""
    with world(tmp_path_factory.mktemp("world")) as made:
        eventually(lambda: made.is_final(made.probe("math")) or None, within_s=30)
        yield made


def fault(kind: str, victim: str) -> Fault:
    return Fault(number=0, after=0, kind=kind, victim=victim, lasts_s=0.0, dice=0)


def answers_within(made: World, kind: str, *, within_s: float) -> float | None:
    start = time.monotonic()
    eventually(lambda: _accepted(made, kind), within_s=within_s)
    job_id = made.probes[-1]
    found = seconds_until(lambda: made.is_final(job_id), within_s=within_s)
    return None if found is None else time.monotonic() - start


def _accepted(made: World, kind: str) -> str | None:
    try:
        return made.probe(kind)
    except requests.RequestException:
        return None


@pytest.mark.parametrize("kind", ["PostgreSQL frozen", "PostgreSQL partitioned"])
def test_a_silent_postgres_holds_nobody_for_long_and_its_return_is_noticed_within_a_second(
    broken: World, kind: str
) -> None:
    url, body = broken.running.url, {"prompt": "Solve x = 1", "max_tokens": 1}
    with KINDS[kind].breaking(broken, fault(kind, "postgres")), ThreadPoolExecutor(40) as callers:
        start = time.monotonic()
        asked = [callers.submit(requests.post, f"{url}/v1/jobs", json=body, timeout=60) for _ in range(40)]
        refusals = [each.result() for each in asked]
        assert time.monotonic() - start < 2 * STATEMENT_S + SLACK_S
        assert {each.status_code for each in refusals} == {503}
        assert all(int(each.headers["Retry-After"]) >= 1 for each in refusals)
        assert requests.get(f"{url}/healthz", timeout=2).ok
    accepted = seconds_until(lambda: bool(broken.probe("math")), within_s=20)
    assert accepted is not None
    assert accepted < 1.0
    assert answers_within(broken, "math", within_s=20)


def test_the_api_accepts_within_a_second_of_the_return_of_a_killed_postgres(broken: World) -> None:
    with KINDS["PostgreSQL killed"].breaking(broken, fault("PostgreSQL killed", "postgres")):
        eventually(lambda: broken.running.post("/v1/jobs", {"prompt": "x"}).status_code == 503 or None)
    accepted = seconds_until(lambda: bool(broken.probe("math")), within_s=20)
    assert accepted is not None
    assert accepted < 1.0


@pytest.mark.parametrize("kind", ["Redis refuses", "Redis frozen", "Redis partitioned"])
def test_workers_are_back_soon_after_redis_was_away_for_long(broken: World, kind: str) -> None:
    """By its own pauses kombu would be asleep for up to eight more seconds by then."""
    with KINDS[kind].breaking(broken, fault(kind, "redis")):
        held = [broken.probe(model) for model in ("math", "code")]
        until = time.monotonic() + 15
        eventually(lambda: time.monotonic() > until or None)
    for job_id in held:
        assert seconds_until(lambda job_id=job_id: broken.is_final(job_id), within_s=10.0) is not None  # type: ignore[misc]


def test_the_queues_are_full_again_within_thirty_seconds_of_an_empty_redis(broken: World) -> None:
    """Nobody serves; what stood in the queues is lost and comes back."""
    workers = ("mathstral", "mathstral-2")
    for name in workers:
        broken.locks[name].acquire()
        broken.kill(name)
    try:
        for _ in range(200):
            broken.probe("math")
        with KINDS["Redis restarted empty"].breaking(broken, fault("Redis restarted empty", "redis")):
            pass
        assert seconds_until(lambda: _announced(broken) >= _queued(broken) > 0, within_s=30.0) is not None
    finally:
        for name in workers:
            broken.launch(name)
            broken.locks[name].release()
    assert seconds_until(lambda: all(map(broken.is_final, broken.probes)), within_s=60.0) is not None


def _queued(broken: World) -> int:
    return broken.records.count("SELECT count(*) FROM completion WHERE state = 'queued'")


def _announced(broken: World) -> int:
    with broken.redis() as redis:
        return int(redis.llen("mathstral"))


@pytest.mark.parametrize("times", [5])
def test_a_killed_workers_jobs_run_elsewhere_within_ten_seconds(broken: World, times: int) -> None:
    killed = 0
    for number in range(times):
        name = ("mathstral", "mathstral-2")[number % 2]
        body = {"prompt": "Prove it", "max_tokens": 400, "force_task_type": "math"}
        held = [str(broken.running.post("/v1/jobs", body).json()["id"]) for _ in range(6)]
        eventually(lambda held=held: all(broken.running.status(job_id) == "running" for job_id in held) or None)
        with broken.locks[name]:
            victims = [str(row["id"]) for row in broken.held_by(name)]
            killed += len(victims)
            broken.kill(name)
            moved = seconds_until(lambda victims=victims: not _still(broken, victims), within_s=10.0)
            broken.launch(name)
        assert moved is not None
        for job_id in held:
            assert broken.running.finished(job_id)["status"] == "succeeded"
    assert killed >= times


def _still(broken: World, ids: list[str]) -> int:
    """Those that still wait for their dead worker, or for another one."""
    sql = """SELECT count(*) FROM completion WHERE job_id = ANY (%(ids)s::uuid[]) AND attempt = 1
             AND state <> 'done'"""
    return broken.records.count(sql, {"ids": ids})


def test_the_light_worker_repairs_though_nobody_calls_it(broken: World) -> None:
    """Without Redis and without beat: what is done is merged, and what a dead worker held is taken back."""
    body = {"prompt": "Prove it", "max_tokens": 100, "force_task_type": "hybrid"}
    with broken.locks["beat"]:
        broken.kill("beat")
        try:
            hybrid = str(broken.running.post("/v1/jobs", body).json()["id"])
            broken.running.await_running(hybrid)
            with KINDS["Redis refuses"].breaking(broken, fault("Redis refuses", "redis")):
                assert broken.running.finished(hybrid, within_s=30)["status"] == "succeeded"
        finally:
            broken.launch("beat")
