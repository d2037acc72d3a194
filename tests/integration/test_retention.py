"""What is kept and for how long: pruning in pieces, deleting one job, and who is spared."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from uuid import UUID

import pytest
import requests
from redis import Redis
from uuid_utils import uuid7

from core.database import Database
from core.events import EventLog
from core.files import FileStore
from core.job_errors import JobInBatch
from core.jobs import JobStore, NewJob, Origin
from core.messages import GenerationRequest, JobState, ModelName, Route, TaskType, Verdict
from core.retention import PIECE, RetentionStore
from core.webhooks import WebhookStore
from stack.servers import ServerUrls
from tasks.janitor import Janitor
from tests.harness import ROOT, Installation, eventually

BATCH = "01890000-0000-7000-8000-000000000001"


def job(database: Database, *, age_days: float, ended: bool = True, batch: bool = False) -> str:
    """A job accepted, and ended, so many days ago: a UUIDv7 tells its age."""
    new = NewJob(
        request=GenerationRequest(prompt="x"),
        route=Route(task_type=TaskType.MATH, confidence=1.0, reasons=()),
        models=(ModelName.MATHSTRAL,),
        waiting=frozenset(),
        deadline_s=60.0,
        window=10,
        origin=Origin(batch_id=BATCH, batch_line=int(age_days)) if batch else Origin(),
    )
    job_id = JobStore(database).insert(new).id
    if ended:
        JobStore(database).close(job_id, Verdict(state=JobState.CANCELLED))
    milliseconds = (UUID(job_id).int >> 80) - int(age_days * 86_400_000)
    older = str(UUID(int=milliseconds << 80 | UUID(job_id).int & (1 << 80) - 1))
    database.execute("DELETE FROM completion WHERE job_id = %(id)s", {"id": job_id})
    database.execute(
        "UPDATE job SET id = %(older)s, created_at = created_at - make_interval(days => %(days)s),"
        " finished_at = finished_at - make_interval(days => %(days)s) WHERE id = %(id)s",
        {"older": older, "id": job_id, "days": int(age_days)},
    )
    return older


def left(database: Database) -> set[str]:
    return {row["id"] for row in database.fetch("SELECT id::text FROM job")}


def test_only_what_ended_long_enough_ago_is_pruned(database: Database) -> None:
    old, young = job(database, age_days=31), job(database, age_days=29)
    open_, line = job(database, age_days=40, ended=False), job(database, age_days=31, batch=True)
    assert set(RetentionStore(database).prune(days=30)) == {old, line}
    assert left(database) == {young, open_}


def batch(database: Database, uuid: str, *, state: str, age_days: float = 0) -> None:
    """A batch whose final state, if it is one, is so many days old."""
    database.execute(
        "INSERT INTO batch (id, endpoint, input_file_id, completion_window, state, expires_at, completed_at)"
        " VALUES (%(id)s, '/v1/completions', %(id)s, '24h', %(state)s, now(),"
        "  CASE WHEN %(state)s = 'completed' THEN now() - make_interval(secs => 86400 * %(days)s) END)",
        {"id": uuid, "state": state, "days": age_days},
    )


def test_lines_of_an_open_batch_are_spared(database: Database) -> None:
    line, plain = job(database, age_days=40, batch=True), job(database, age_days=40)
    batch(database, BATCH, state="finalizing")
    store = RetentionStore(database)
    assert store.prune(days=1) == [plain]
    with pytest.raises(JobInBatch):
        store.delete(line)
    database.execute("UPDATE batch SET state = 'completed', completed_at = now()")
    assert store.prune(days=1) == [line]


def test_batches_and_files_go_after_the_same_time(database: Database) -> None:
    old, late, open_ = (f"01890000-0000-7000-8000-00000000000{n}" for n in range(3))
    batch(database, old, state="completed", age_days=31)
    batch(database, late, state="completed", age_days=29)
    batch(database, open_, state="in_progress")
    database.execute(
        "INSERT INTO file (id, purpose, filename, size_bytes, uses, expires_at) VALUES"
        " (%(old)s, 'batch', 'old', 0, 0, NULL), (%(late)s, 'batch_output', 'dated', 0, 0, now() + '1 day'),"
        " (%(open)s, 'batch', 'in use', 0, 1, NULL)",
        {"old": old, "late": late, "open": open_},
    )
    FileStore(database).create(purpose="batch", key_id=None).finish(filename="young", lives_s=None)
    store = RetentionStore(database)
    assert (store.prune_batches(days=30), store.prune_files(days=30)) == (1, 1)
    assert {row["id"] for row in database.fetch("SELECT id::text FROM batch")} == {late, open_}
    names = {row["filename"] for row in database.fetch("SELECT filename FROM file")}
    assert names == {"dated", "in use", "young"}


def test_a_job_that_took_long_is_kept_from_its_end(database: Database) -> None:
    late = job(database, age_days=40)
    database.execute("UPDATE job SET finished_at = now() WHERE id = %(id)s", {"id": late})
    assert RetentionStore(database).prune(days=30) == []


def test_pieces_are_bounded_and_a_pass_takes_them_all(database: Database, urls: ServerUrls) -> None:
    one = job(database, age_days=31)
    database.execute(
        "INSERT INTO job (id, state, request, task_type, strategy, route, deadline_at, finished_at)"
        " SELECT (left(j.id::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, state, request, task_type, strategy,"
        " route, deadline_at, finished_at FROM job j, generate_series(1, %(more)s) n WHERE j.id = %(id)s",
        {"more": 2 * PIECE + 7, "id": one},
    )
    assert len(RetentionStore(database).prune(days=30)) == PIECE
    with closing(EventLog.connect(urls.redis_url)) as events:
        assert Janitor(RetentionStore(database), events, days=0).prune() == 0
        assert Janitor(RetentionStore(database), events, days=30).prune() == PIECE + 8
    assert left(database) == set()


def test_deliveries_are_pruned_too(database: Database) -> None:
    store = WebhookStore(database)
    for subject in "abc":
        database.execute(
            "SELECT webhook_enqueue('job.failed', %(subject)s, 'https://example.org/')", {"subject": subject}
        )
    a, b, _ = sorted(store.claim(limit=5, per_host=5), key=lambda delivery: delivery.subject)
    store.delivered(a)
    store.not_delivered(b, "no", again_in_s=None)
    database.execute("UPDATE webhook_delivery SET ended_at = now() - interval '2 days' WHERE ended_at IS NOT NULL")
    assert RetentionStore(database).prune_deliveries(days=1) == 2
    assert [delivery.subject for delivery in store.latest()] == ["c"]


def test_the_light_worker_prunes_when_beat_says_so(fresh: Installation) -> None:
    fresh.settings["MATHCODE_RETENTION"] = "0.000001"
    fresh.start("api", "mathstral", "light")
    job_id = fresh.submit("Solve x = 1", max_tokens=1)
    fresh.finished(job_id)
    command = [sys.executable, "-m", "celery", "-A", "tasks.celery_app", "call", "mathcode.prune"]
    with closing(Redis.from_url(fresh.redis_url)) as redis:
        assert redis.exists(f"mathcode:events:{job_id}")
        subprocess.run(command, cwd=ROOT, env=fresh.environment, check=True, capture_output=True)
        eventually(lambda: fresh.get(f"/v1/jobs/{job_id}").status_code == 404)
        eventually(lambda: not redis.exists(f"mathcode:events:{job_id}"))


def test_a_deleted_job_is_gone_everywhere(running: Installation) -> None:
    job_id = running.submit("Solve x = 1", max_tokens=1)
    running.finished(job_id)
    url = f"{running.url}/v1/jobs/{job_id}"
    deleted = requests.delete(url, timeout=10)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for response in (
        requests.delete(url, timeout=10),
        requests.get(url, timeout=10),
        requests.get(f"{url}/events", timeout=10),
        requests.post(f"{url}/cancel", timeout=10),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "job_not_found")
    assert job_id not in {each["id"] for each in running.get("/v1/jobs?limit=100").json()["data"]}


def test_an_open_job_is_not_deleted(running: Installation) -> None:
    job_id = running.submit("Prove it", max_tokens=4000, force_task_type="hybrid")
    refused = requests.delete(f"{running.url}/v1/jobs/{job_id}", timeout=10)
    if refused.status_code != 204:  # scripted models may be faster
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "job_open")
        assert refused.headers["x-should-retry"] == "false"
        assert running.get(f"/v1/jobs/{job_id}").status_code == 200


def test_a_line_of_an_open_batch_is_not_deleted(running: Installation) -> None:
    uuid = str(uuid7())
    with closing(Database(running.database_url)) as ledger:
        line = job(ledger, age_days=1, batch=True)
        batch(ledger, uuid, state="completed")
        ledger.execute("UPDATE job SET batch_id = %(batch)s WHERE id = %(id)s", {"batch": uuid, "id": line})
        hold = "UPDATE batch SET state = %(state)s, lease_until = now() + '1 hour', worker = 'x' WHERE id = %(id)s"
        ledger.execute(hold, {"state": "in_progress", "id": uuid})
        refused = requests.delete(f"{running.url}/v1/jobs/{line}", timeout=10)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "job_in_batch")
        ledger.execute(hold, {"state": "completed", "id": uuid})
        assert requests.delete(f"{running.url}/v1/jobs/{line}", timeout=10).status_code == 204
