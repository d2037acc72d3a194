"""One card for all: serving gives way to a training and comes back, whoever dies meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from core.database import Database
from stack.servers import EmbeddedServers, ServerUrls, scratch_data_dir
from tests.harness import ROOT, Installation, eventually, installation

SHARED = {
    "MATHCODE_CARD": "card",
    "MATHCODE_TRAINING_PAUSES": "codestral",
    "MATHCODE_DRAIN_S": "1",
    "MATHCODE_LEASE_S": "2",
}
SLOW = {"MATHCODE_SCRIPTED_DELAY_S": "0.02", "MATHCODE_SLOTS": "2"}
CODE, HYBRID = "Refactor this function", "Implement a numerical gradient descent algorithm with mathematical proof"


@pytest.fixture(scope="module")
def lasting(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """What holds no model, for all tests here."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("shared")
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=dict(SHARED)
    ) as made:
        made.start("api", "light", "beat")
        yield made


@pytest.fixture
def shared(lasting: Installation) -> Iterator[Installation]:
    """Without workers that hold a model; those of a test end with it, and nobody remembers them."""
    yield lasting
    for name in [name for name in lasting.processes if name.startswith(("mathstral", "codestral"))]:
        lasting.kill(name)
        lasting.log(name).unlink(missing_ok=True)
    with closing(Database(lasting.database_url)) as database:
        database.execute("DELETE FROM worker WHERE queue IN ('mathstral', 'codestral')")


def _new_run(installed: Installation) -> int:
    with closing(psycopg2.connect(installed.database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE training_run SET state = 'failed', finished_at = now() WHERE finished_at IS NULL"
            )
            cursor.execute("INSERT INTO training_run (trigger, options) VALUES ('operator', '{}') RETURNING id")
            return int(cursor.fetchone()[0])  # type: ignore[index]


@contextmanager
def _training(installed: Installation, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A process that borrows the card; leaving the block gives it back, unless it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.borrower", str(_new_run(installed))],
        cwd=ROOT,
        env={**installed.environment, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.communicate(timeout=20)


def _says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _worker(installed: Installation, queue: str = "codestral") -> dict[str, Any]:
    roster = installed.get("/v1/status").json()["roster"]
    return dict(next((worker for worker in roster if worker["queue"] == queue), {}))


def _has_state(installed: Installation, state: str) -> Callable[[], bool]:
    return lambda: _worker(installed).get("state") == state


def _let_three_beats_pass(installed: Installation) -> None:
    """Longer than several passes of the reconciler, and than a lease of a second."""
    for _ in range(3):
        seen = _worker(installed)["seen_at"]
        eventually(lambda seen=seen: _worker(installed)["seen_at"] > seen)  # type: ignore[misc]


def _all_succeed(installed: Installation, job_ids: list[str]) -> None:
    for job_id in job_ids:
        assert installed.finished(job_id, within_s=20)["status"] == "succeeded"


def test_a_busy_worker_gives_way_and_every_job_is_answered_afterwards(shared: Installation) -> None:
    shared.start("codestral", **SLOW)
    long = [shared.submit(CODE, max_tokens=200) for _ in range(2)]
    short = [shared.submit(CODE, max_tokens=20) for _ in range(12)]
    for job_id in long:
        shared.await_running(job_id)
    with _training(shared) as training:
        assert _says(training) == "has it"
        eventually(_has_state(shared, "ceded"))
        assert _worker(shared)["metrics"]["is_asleep"]
        assert _worker(shared)["metrics"]["running"] == 0
        late = shared.submit(CODE, max_tokens=4)
        before = [shared.status(job_id) for job_id in [*long, *short, late]]
        assert shared.status(late) == "queued"
        _let_three_beats_pass(shared)
        assert [shared.status(job_id) for job_id in [*long, *short, late]] == before
    _all_succeed(shared, [*long, *short, late])
    eventually(_has_state(shared, "serving"))


def test_a_training_keeps_the_card_longer_than_its_lease_but_not_once_it_is_killed(shared: Installation) -> None:
    shared.start("codestral")
    with _training(shared, MATHCODE_CARD_LEASE_S="1") as training:
        assert _says(training) == "has it"
        eventually(_has_state(shared, "ceded"))
        job_id = shared.submit(CODE, max_tokens=4)
        _let_three_beats_pass(shared)
        assert (_worker(shared)["state"], shared.status(job_id)) == ("ceded", "queued")
        training.kill()
    _all_succeed(shared, [job_id])


def test_a_worker_that_starts_while_the_card_is_lent_waits_and_then_loads(shared: Installation) -> None:
    shared.start("codestral")
    with _training(shared) as training:
        assert _says(training) == "has it"
        job_id = shared.submit(CODE, max_tokens=4)
        shared.kill("codestral")
        shared.log("codestral").unlink()
        shared.launch("codestral")
        eventually(lambda: "lent to a training" in shared.log("codestral").read_text())
        waiting = eventually(lambda: next((w for w in _living(shared) if w["metrics"] is None), None))
        assert (waiting["state"], waiting["card"], waiting["version"]) == ("ceded", "card", None)
    _all_succeed(shared, [job_id])


def _living(installed: Installation) -> list[dict[str, Any]]:
    roster = installed.get("/v1/status").json()["roster"]
    return [worker for worker in roster if worker["queue"] == "codestral" and worker["state"] != "loading"]


def test_a_worker_that_dies_while_its_card_is_lent_is_replaced_by_a_later_one(shared: Installation) -> None:
    shared.start("codestral")
    with _training(shared) as training:
        assert _says(training) == "has it"
        job_id = shared.submit(CODE, max_tokens=4)
        shared.kill("codestral")
    shared.start("codestral")
    _all_succeed(shared, [job_id])


def test_jobs_go_on_at_a_worker_with_a_card_of_its_own(shared: Installation) -> None:
    shared.start("codestral", **SLOW)
    running = shared.submit(CODE, max_tokens=300)
    shared.await_running(running)
    shared.start("codestral-2", MATHCODE_CARD="another")
    with _training(shared) as training:
        assert _says(training) == "has it"
        _all_succeed(shared, [running, shared.submit(CODE, max_tokens=4)])


@pytest.mark.parametrize("choice", ["degrade", "wait"])
def test_hybrid_jobs_degrade_or_wait_and_code_jobs_wait(shared: Installation, choice: str) -> None:
    shared.terminate("light")
    shared.start("light", MATHCODE_HYBRID_WHILE_TRAINING=choice)
    shared.start("mathstral", "codestral")
    with _training(shared) as training:
        assert _says(training) == "has it"
        hybrids = [
            shared.submit(HYBRID, max_tokens=4, strategy=strategy) for strategy in ("parallel", "sequential")
        ]
        code = shared.submit(CODE, max_tokens=4)
        if choice == "degrade":
            for job_id in hybrids:
                answer = shared.finished(job_id, within_s=20)["answer"]
                assert answer["degraded"]
                assert [failure["code"] for failure in answer["failures"]] == ["training"]
                assert [completion["model"] for completion in answer["completions"]] == ["mathstral"]
        else:
            eventually(lambda: all(shared.status(job_id) == "running" for job_id in hybrids))
        assert shared.status(code) == "queued"
    _all_succeed(shared, [*hybrids, code])
    if choice == "wait":
        assert not any(shared.job(job_id)["answer"]["degraded"] for job_id in hybrids)


def test_with_a_card_of_its_own_a_training_stops_nothing_and_otherwise_it_is_told_who_does_not_give_way(
    shared: Installation,
) -> None:
    shared.start("codestral", MATHCODE_TRAINING_PAUSES="")
    with _training(shared, MATHCODE_TRAINING_PAUSES="") as training:
        assert _says(training) == "has it"
        assert shared.ask(CODE, max_tokens=4)["status"] == "succeeded"
    with _training(shared, MATHCODE_CARD_PATIENCE_S="0.5") as training:
        said = _says(training)
    assert said.startswith("busy: codestral@")
    assert "MATHCODE_TRAINING_PAUSES" in said


def test_a_lent_card_stays_lent_while_servers_go_and_come_back(tmp_path: Path) -> None:
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        installation(
            database_url=servers.urls.database_url,
            redis_url=servers.urls.redis_url,
            data_dir=tmp_path,
            settings=SHARED,
        ) as fresh,
    ):
        fresh.start("api", "light", "beat", "codestral")
        with _training(fresh) as training:
            assert _says(training) == "has it"
            servers.redis.stop()
            job_id = fresh.submit(CODE, max_tokens=4)
            servers.redis.start()
            servers.postgres.stop()
            servers.postgres.start()
            eventually(lambda: fresh.get("/v1/status").json()["broker"] == "ok")
            later = eventually(lambda: _submitted(fresh))
            eventually(_has_state(fresh, "ceded"))
            assert [fresh.status(each) for each in (job_id, later)] == ["queued", "queued"]
        _all_succeed(fresh, [job_id, later])


def _submitted(installed: Installation) -> str | None:
    response = installed.post("/v1/jobs", {"prompt": CODE, "max_tokens": 4})
    return str(response.json()["id"]) if response.status_code == 202 else None
