"""Cancelling and deadlines, wherever the job stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from redis import Redis

from stack.servers.embedded import ServerUrls
from tests.harness import Installation, eventually, installation

HYBRID_PROMPT = "Implement a numerical gradient descent algorithm with mathematical proof"


@pytest.fixture(scope="module")
def slow(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two slots, a tenth of a second per token."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("slow")
    settings = {"MATHCODE_SLOTS": "2", "MATHCODE_SCRIPTED_DELAY_S": "0.1"}
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=settings
    ) as made:
        made.start("api", "mathstral", "codestral", "light", "beat")
        yield made


@pytest.mark.parametrize("prompt", ["Prove it", "Refactor the function", HYBRID_PROMPT])
def test_a_running_job_is_cancelled_at_once_and_keeps_its_text(slow: Installation, prompt: str) -> None:
    job_id = slow.submit(prompt, max_tokens=600)
    eventually(lambda: slow.status(job_id) == "running")
    eventually(lambda: _has_text(slow, job_id))
    assert slow.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    job = slow.finished(job_id, within_s=3)
    assert job["status"] == "cancelled"
    assert job["error"]["code"] == "cancelled"
    assert job["answer"]["response"].strip()
    assert slow.events(job_id)[-1][1:] == ("done", {"status": "cancelled"})


def _has_text(installed: Installation, job_id: str) -> bool:
    with closing(Redis.from_url(installed.redis_url)) as redis:
        return bool(redis.xlen(f"mathcode:events:{job_id}") >= 2)


def test_a_waiting_job_is_cancelled_before_it_begins(slow: Installation) -> None:
    running = [slow.submit("Prove it", max_tokens=600) for _ in range(2)]
    for job_id in running:
        slow.await_running(job_id)
    waiting = slow.submit("Prove it too", max_tokens=5)
    job = slow.post(f"/v1/jobs/{waiting}/cancel").json()
    assert (job["status"], job["answer"]) == ("cancelled", None)
    for job_id in running:
        slow.post(f"/v1/jobs/{job_id}/cancel")
        slow.finished(job_id)
    assert slow.job(waiting)["started_at"] is None


def test_cancelling_a_final_job_changes_nothing(slow: Installation) -> None:
    job = slow.ask("Prove it", max_tokens=1)
    assert slow.post(f"/v1/jobs/{job['id']}/cancel").json() == job


def test_a_deadline_ends_a_running_answer_and_keeps_its_text(slow: Installation) -> None:
    job = slow.ask("Prove it", max_tokens=600, deadline_s=1.5)
    assert (job["status"], job["error"]["code"]) == ("expired", "expired")
    assert job["answer"]["response"].strip()


def test_a_deadline_passes_in_the_queue(slow: Installation) -> None:
    running = [slow.submit("Prove it", max_tokens=600) for _ in range(2)]
    for job_id in running:
        slow.await_running(job_id)
    job = slow.finished(slow.submit("Prove it too", deadline_s=0.5), within_s=10)
    assert (job["status"], job["started_at"], job["answer"]) == ("expired", None, None)
    for job_id in running:
        slow.post(f"/v1/jobs/{job_id}/cancel")
