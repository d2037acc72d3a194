"""Idempotency-Key: asked twice, done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from core.batches import BatchStore, NewBatch
from core.database import Database
from core.files import FileStore
from core.idempotency import IdempotencyStore, Once
from core.jobs import JobStore, NewJob
from core.keys import Limits, Rate
from core.messages import GenerationRequest, ModelName, Route, TaskType
from stack.servers import ServerUrls
from tests.harness import Installation, installation
from tests.keyed import new_caller

BODY = {"prompt": "Prove it", "max_tokens": 1}


@pytest.fixture(scope="module")
def door(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    urls, directory = new_urls(), tmp_path_factory.mktemp("door")
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory) as made:
        made.start("api")
        yield made


def test_the_same_key_and_body_is_the_same_job(door: Installation) -> None:
    first, again = (door.post("/v1/jobs", BODY, headers={"Idempotency-Key": "a"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = door.post("/v1/jobs", BODY, headers={"Idempotency-Key": "b"})
    assert other.json()["id"] != first.json()["id"]


def test_another_body_under_the_same_key_is_a_conflict_and_not_to_be_retried(door: Installation) -> None:
    assert door.post("/v1/jobs", BODY, headers={"Idempotency-Key": "c"}).status_code == 202
    before = len(door.get("/v1/jobs", params={"limit": 100}).json()["data"])
    answer = door.post("/v1/jobs", {**BODY, "max_tokens": 2}, headers={"Idempotency-Key": "c"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert answer.headers["x-should-retry"] == "false"
    assert len(door.get("/v1/jobs", params={"limit": 100}).json()["data"]) == before


def test_a_body_that_was_refused_takes_no_key(door: Installation) -> None:
    headers = {"Idempotency-Key": "d"}
    assert door.post("/v1/jobs", {"prompt": ""}, headers=headers).status_code == 400
    assert door.post("/v1/jobs", BODY, headers=headers).status_code == 202


def test_sixteen_at_once_are_one_job(door: Installation) -> None:
    for number in range(5):
        headers = {"Idempotency-Key": f"race-{number}"}
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda h: door.post("/v1/jobs", BODY, headers=h), [headers] * 16))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        with closing(Database(door.database_url)) as database:
            rows = database.fetch("SELECT 1 FROM idempotency WHERE key = %(key)s", {"key": f"race-{number}"})
            assert len(rows) == 1


def test_a_key_means_nothing_to_another_caller(door: Installation) -> None:
    first, second = new_caller(door, "first"), new_caller(door, "second")
    ids = {
        caller.post("/v1/jobs", BODY, **{"Idempotency-Key": "mine"}).json()["id"]
        for caller in (first, second, first)
    }
    assert len(ids) == 2


def test_a_limit_refuses_no_replay_and_a_replay_takes_nothing(door: Installation) -> None:
    caller = new_caller(door, "limited", Limits(requests=Rate(amount=1, period_s=3600), max_queued=1))
    answers = [caller.post("/v1/jobs", BODY, **{"Idempotency-Key": "x"}) for _ in range(3)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert caller.post("/v1/jobs", BODY, **{"Idempotency-Key": "y"}).status_code == 429


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "\u00e9".encode().decode("latin-1")])
def test_a_key_that_is_none_is_refused_by_name(door: Installation, key: str) -> None:
    answer = door.post("/v1/jobs", BODY, headers={"Idempotency-Key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")


def _new(prompt: str = "x") -> NewJob:
    return NewJob(
        request=GenerationRequest(prompt=prompt),
        route=Route(task_type=TaskType.MATH, confidence=1.0, reasons=()),
        models=(ModelName.MATHSTRAL,),
        waiting=frozenset(),
        deadline_s=60,
        window=100,
    )


def test_after_a_day_a_key_is_free_again_and_pruned(database: Database) -> None:
    jobs, store = JobStore(database), IdempotencyStore(database)
    old, kept = (Once(scope="", key=key, fingerprint=b"1") for key in ("old", "kept"))
    first, other = jobs.insert_once(_new(), old), jobs.insert_once(_new(), kept)
    assert first and other
    assert jobs.insert_once(_new(), old) is None
    age = "UPDATE idempotency SET created_at = now() - make_interval(hours => %(hours)s) WHERE key = %(key)s"
    database.execute(age, {"hours": 25, "key": "old"})
    database.execute(age, {"hours": 23, "key": "kept"})
    assert store.find(old) is None
    assert store.find(kept) == other.id
    again = jobs.insert_once(_new(), old)
    assert again and again.id != first.id
    assert store.find(old) == again.id
    database.execute(age, {"hours": 25, "key": "old"})
    store.prune()
    assert [row["key"] for row in database.fetch("SELECT key FROM idempotency")] == ["kept"]


def test_parts_of_one_request_are_jobs_of_their_own(database: Database) -> None:
    jobs = JobStore(database)
    parts = [jobs.insert_once(_new(), Once(scope="", key="k", fingerprint=b"1", part=n)) for n in range(3)]
    assert len({part.id for part in parts if part}) == 3


def test_a_deleted_job_frees_its_key(database: Database) -> None:
    jobs, once = JobStore(database), Once(scope="", key="k", fingerprint=b"1")
    first = jobs.insert_once(_new(), once)
    assert first
    database.execute("DELETE FROM job WHERE id = %(id)s", {"id": first.id})
    assert IdempotencyStore(database).find(once) is None
    assert jobs.insert_once(_new(), once)


def _yes() -> None:
    """Let the batch in."""


def _file(database: Database, once: Once, content: bytes = b"{}\n") -> str:
    writer = FileStore(database).create(purpose="batch", key_id=None)
    writer.write(content)
    return writer.finish(filename="in.jsonl", lives_s=None, once=once).id


def test_a_files_key_is_free_again_when_it_is_deleted_or_after_a_day_and_pruned(database: Database) -> None:
    store, once = FileStore(database), Once(scope="", key="k", fingerprint=b"1")
    first = _file(database, once)
    assert _file(database, once) == first
    assert len(database.fetch("SELECT 1 FROM file")) == 1, "the second upload leaves nothing"
    store.delete(first, key_id=None)
    second = _file(database, once)
    assert second != first
    age = "UPDATE file_key SET created_at = now() - make_interval(hours => 25)"
    database.execute(age)
    assert _file(database, once) not in (first, second)
    database.execute(age)
    IdempotencyStore(database).prune()
    assert not database.fetch("SELECT 1 FROM file_key")


def test_a_batchs_key_is_free_again_after_a_day_and_pruned(database: Database) -> None:
    writer = FileStore(database).create(purpose="batch", key_id=None)
    writer.write(b"{}\n")
    new = NewBatch(
        file_id=writer.finish(filename="in.jsonl", lives_s=None).id,
        endpoint="/v1/completions",
        window="24h",
        window_s=86_400,
        key_id=None,
    )
    batches, once = BatchStore(database), Once(scope="", key="k", fingerprint=b"1")
    (first, is_replayed), (again, is_again) = (batches.create_once(new, once, admit=_yes) for _ in range(2))
    assert (again.id, is_replayed, is_again) == (first.id, False, True)
    age = "UPDATE batch_key SET created_at = now() - make_interval(hours => 25)"
    database.execute(age)
    later, is_replayed = batches.create_once(new, once, admit=_yes)
    assert (later.id != first.id, is_replayed) == (True, False)
    database.execute(age)
    IdempotencyStore(database).prune()
    assert not database.fetch("SELECT 1 FROM batch_key")
