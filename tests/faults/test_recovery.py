"""Processes die, servers go away, jobs do not."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, eventually, installation

HYBRID_PROMPT = "Implement a numerical gradient descent algorithm with mathematical proof"
SLOW = {"MATHCODE_SCRIPTED_DELAY_S": "0.1"}


@pytest.mark.parametrize("victim", ["mathstral", "codestral"])
def test_kill_9_of_a_model_worker_during_a_hybrid_job_still_gives_one_whole_answer(
    fresh: Installation, victim: str
) -> None:
    fresh.start("api", "light", "beat")
    fresh.start("mathstral", "codestral", **SLOW)
    job_id = fresh.submit(HYBRID_PROMPT, max_tokens=40)
    eventually(lambda: _has_piece_of(fresh, job_id, victim))
    fresh.kill(victim)
    fresh.start(victim)
    job = fresh.finished(job_id, within_s=30)
    assert job["status"] == "succeeded"
    assert not job["answer"]["degraded"]
    events = fresh.events(job_id)
    assert ("restarted", {"model": victim, "attempt": 2}) in [event[1:] for event in events]
    assert [name for _, name, _ in events].count("done") == 1


def _has_piece_of(installed: Installation, job_id: str, model: str) -> bool:
    with closing(Redis.from_url(installed.redis_url, decode_responses=True)) as redis:
        return any(f'"{model}"' in fields["event"] for _, fields in redis.xrange(f"mathcode:events:{job_id}"))


def test_a_job_that_kills_its_workers_ends_dead_and_a_hybrid_is_degraded(fresh: Installation) -> None:
    fresh.settings["MATHCODE_MAX_ATTEMPTS"] = "1"
    fresh.start("api", "light", "beat", "mathstral")
    fresh.start("codestral", **SLOW)
    alone = fresh.submit("Refactor this function", max_tokens=40)
    hybrid = fresh.submit(HYBRID_PROMPT, max_tokens=40)
    fresh.await_running(alone)
    eventually(lambda: _has_piece_of(fresh, hybrid, "codestral"))
    fresh.kill("codestral")
    dead = fresh.finished(alone, within_s=20)
    assert (dead["status"], dead["error"]["code"]) == ("dead", "dead")
    degraded = fresh.finished(hybrid, within_s=20)
    assert degraded["status"] == "succeeded"
    assert degraded["answer"]["degraded"]
    assert degraded["answer"]["failures"][0]["code"] == "dead"


def test_a_stopping_worker_hands_its_work_to_another_without_counting_it_lost(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_DRAIN_S="0", MATHCODE_MAX_ATTEMPTS="1", MATHCODE_LEASE_S="30")
    fresh.start("api", "light", "beat")
    fresh.start("mathstral", **SLOW)
    job_id = fresh.submit("Prove it", max_tokens=60)
    fresh.await_running(job_id)
    fresh.start("mathstral-2")
    assert fresh.terminate("mathstral", within_s=10) == 0
    assert fresh.finished(job_id, within_s=15)["status"] == "succeeded"


def test_a_stopping_worker_lets_short_answers_finish(fresh: Installation) -> None:
    fresh.settings["MATHCODE_DRAIN_S"] = "10"
    fresh.start("api")
    fresh.start("mathstral", **SLOW)
    job_id = fresh.submit("Prove it", max_tokens=15)
    fresh.await_running(job_id)
    assert fresh.terminate("mathstral", within_s=15) == 0
    assert fresh.job(job_id)["status"] == "succeeded"


def test_a_frozen_worker_loses_its_job_and_cannot_overwrite_the_answer(fresh: Installation) -> None:
    fresh.start("api", "light", "beat")
    fresh.start("mathstral", **SLOW)
    job_id = fresh.submit("Prove it", max_tokens=40)
    fresh.await_running(job_id)
    fresh.signal("mathstral", signal.SIGSTOP)
    fresh.start("mathstral-2")
    answer = fresh.finished(job_id, within_s=20)["answer"]
    fresh.signal("mathstral", signal.SIGCONT)
    eventually(lambda: "mathstral attempt 1" in fresh.log("mathstral").read_text())
    assert fresh.job(job_id)["answer"] == answer
    assert [name for _, name, _ in fresh.events(job_id)].count("done") == 1


def test_jobs_wait_for_a_worker_that_comes_later(fresh: Installation) -> None:
    fresh.start("api")
    job_id = fresh.submit("Prove it", max_tokens=3)
    fresh.start("mathstral")
    assert fresh.finished(job_id)["status"] == "succeeded"


def test_jobs_accepted_while_messages_are_lost_are_announced_again(fresh: Installation) -> None:
    fresh.start("api")
    job_ids = [fresh.submit("Prove it", max_tokens=3), fresh.submit(HYBRID_PROMPT, max_tokens=3)]
    with closing(Redis.from_url(fresh.redis_url)) as redis:
        redis.flushdb()
    fresh.start("mathstral", "codestral", "light", "beat")
    for job_id in job_ids:
        assert fresh.finished(job_id, within_s=20)["status"] == "succeeded"


def test_servers_may_go_and_come_back_without_a_restart(tmp_path: Path) -> None:
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        installation(
            database_url=servers.urls.database_url, redis_url=servers.urls.redis_url, data_dir=tmp_path
        ) as fresh,
    ):
        fresh.start("api", "mathstral", "codestral", "light", "beat")
        servers.redis.stop()
        job_ids = [fresh.submit(prompt, max_tokens=3) for prompt in ("Solve the equation x = 1", HYBRID_PROMPT)]
        assert [fresh.status(job_id) for job_id in job_ids] == ["queued", "queued"]
        servers.redis.start()
        for job_id in job_ids:
            assert fresh.finished(job_id, within_s=40)["status"] == "succeeded"

        servers.postgres.stop()
        refusal = fresh.post("/v1/jobs", {"prompt": "Solve x = 1"})
        assert refusal.status_code == 503
        assert refusal.json()["error"]["code"] == "database_unavailable"
        assert 1 <= int(refusal.headers["Retry-After"]) <= 120
        assert fresh.get("/healthz").status_code == 200
        servers.postgres.start()
        eventually(lambda: fresh.post("/v1/jobs", {"prompt": "Solve x = 1"}).status_code == 202, within_s=5)
        assert fresh.ask("Solve the equation x = 2", max_tokens=3)["status"] == "succeeded"


def test_an_outage_longer_than_the_leases_costs_no_attempt(tmp_path: Path) -> None:
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        installation(
            database_url=servers.urls.database_url,
            redis_url=servers.urls.redis_url,
            data_dir=tmp_path,
            settings={"MATHCODE_MAX_ATTEMPTS": "1", "MATHCODE_LEASE_S": "1", **SLOW},
        ) as fresh,
    ):
        fresh.start("api", "mathstral", "light", "beat")
        job_id = fresh.submit("Prove it", max_tokens=60)
        fresh.await_running(job_id)
        servers.postgres.stop()
        eventually(lambda: fresh.log("mathstral").read_text().count("heartbeat missed") >= 5)
        servers.postgres.start()
        job = fresh.finished(job_id, within_s=30)
        assert job["status"] == "succeeded"
        assert job["answer"]["completions"][0]["completion_tokens"] == 60


def test_a_sequential_hybrid_goes_on_without_its_mathematics(fresh: Installation) -> None:
    fresh.settings["MATHCODE_MAX_ATTEMPTS"] = "1"
    fresh.start("api", "light", "beat", "codestral")
    fresh.start("mathstral", **SLOW)
    job_id = fresh.submit(HYBRID_PROMPT, max_tokens=40, strategy="sequential")
    eventually(lambda: _has_piece_of(fresh, job_id, "mathstral"))
    fresh.kill("mathstral")
    answer = fresh.finished(job_id, within_s=20)["answer"]
    assert answer["degraded"]
    assert [completion["model"] for completion in answer["completions"]] == ["codestral"]


def test_a_hybrid_survives_the_stop_of_one_of_its_workers(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_DRAIN_S="0", MATHCODE_MAX_ATTEMPTS="1", MATHCODE_LEASE_S="30")
    fresh.start("api", "light", "beat")
    fresh.start("mathstral", "codestral", **SLOW)
    job_id = fresh.submit(HYBRID_PROMPT, max_tokens=40)
    eventually(lambda: _has_piece_of(fresh, job_id, "codestral"))
    assert fresh.terminate("codestral", within_s=10) == 0
    fresh.start("codestral")
    job = fresh.finished(job_id, within_s=20)
    assert (job["status"], job["answer"]["degraded"]) == ("succeeded", False)


def test_a_torn_model_directory_ends_the_worker_with_the_name_of_the_file(
    fresh: Installation, tmp_path: Path
) -> None:
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "config.json").write_text('{"architectures": ["MistralForCausalLM"]')
    worker = fresh.launch("mathstral", MATHCODE_PROFILE="tiny", MATHCODE_MATHSTRAL=str(torn))
    assert worker.wait(60) == 78
    assert str(torn / "config.json") in fresh.log("mathstral").read_text()
    fresh.start("api")
    job_id = fresh.submit("Prove it", max_tokens=2)
    missing = tmp_path / "missing"
    worker = fresh.launch("mathstral", MATHCODE_PROFILE="tiny", MATHCODE_MATHSTRAL=str(missing))
    assert worker.wait(60) == 78
    assert str(missing) in fresh.log("mathstral").read_text()
    assert fresh.status(job_id) == "queued"
    fresh.start("mathstral")
    assert fresh.finished(job_id)["status"] == "succeeded"


@pytest.mark.parametrize("queues", ["mathstral,codestral", "mathstral,training"])
def test_a_worker_serves_exactly_one_queue(fresh: Installation, queues: str) -> None:
    worker = fresh.launch(queues)
    assert worker.wait(60) == 78
    assert "exactly one queue" in fresh.log(queues).read_text()
