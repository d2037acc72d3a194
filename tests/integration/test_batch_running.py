"""Batches while they run: cancelled, overdue, killed under way, beside interactive jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import requests
from openai import OpenAI

from core.batch_claims import ClaimLost, ClaimStore
from core.batch_jobs import BatchJobStore
from core.batches import BatchState, BatchStore, NewBatch
from core.database import Database
from core.files import FileStore
from core.jobs import NewJob, Origin
from core.keys import KeyStore, Limits
from core.messages import GenerationRequest, ModelName, Priority, Route, TaskType
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation
from tests.integration.test_batches import begin, chat_line, ended, jsonl, results, upload

SLOTS = 2
MOST_LINES = 400


@pytest.fixture(scope="module")
def slow(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two slots that need a moment for each token."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("slow")
    settings = {
        "MATHCODE_SLOTS": str(SLOTS),
        "MATHCODE_SCRIPTED_DELAY_S": "0.01",
        "MATHCODE_MAX_BATCH_LINES": str(MOST_LINES),
    }
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=settings
    ) as made:
        made.start("api", "mathstral", "light", "beat")
        yield made


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """Of the installation that the test uses."""
    used: Installation = request.getfixturevalue("slow" if "slow" in request.fixturenames else "fresh")
    with OpenAI(base_url=f"{used.url}/v1", api_key="unused", max_retries=5) as made:
        yield made


def counts(client: OpenAI, batch_id: str) -> dict[str, int]:
    found = client.batches.retrieve(batch_id).request_counts
    assert found is not None
    return {"total": found.total, "completed": found.completed, "failed": found.failed}


def test_a_cancelled_batch_keeps_what_was_answered_and_names_the_rest(slow: Installation, client: OpenAI) -> None:
    lines = [chat_line(f"{number}") for number in range(MOST_LINES)]
    batch = begin(client, *lines)
    eventually(lambda: counts(client, batch.id)["completed"] >= 3)
    assert client.files.list(purpose="batch").data[0].id == batch.input_file_id
    cancelling = client.batches.cancel(batch.id)
    assert (cancelling.status, bool(cancelling.cancelling_at)) == ("cancelling", True)
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = ended(client, batch)
    assert (done.status, bool(done.cancelled_at), done.completed_at) == ("cancelled", True, None)
    answered, rest = results(client, done.output_file_id), results(client, done.error_file_id)
    assert answered.keys() | rest.keys() == {line["custom_id"] for line in lines}
    assert not answered.keys() & rest.keys()
    assert {line["error"]["code"] for line in rest.values()} == {"batch_cancelled"}
    assert counts(client, batch.id) == {"total": MOST_LINES, "completed": len(answered), "failed": len(rest)}
    with closing(Database(slow.database_url)) as ledger:
        assert ledger.fetch("SELECT 1 FROM completion WHERE state <> 'done'") == []
        assert ledger.fetch("SELECT 1 FROM job WHERE state IN ('queued', 'running')") == []
    client.files.delete(batch.input_file_id)


def test_a_batch_ends_with_its_window_and_one_too_long_at_once(slow: Installation, client: OpenAI) -> None:
    large = ended(client, begin(client, *(chat_line(f"{n}") for n in range(MOST_LINES + 1))))
    assert large.errors is not None and large.errors.data is not None
    assert [(error.code, error.line) for error in large.errors.data] == [("too_many_lines", None)]
    batch = begin(client, *(chat_line(f"{n}", max_tokens=20) for n in range(300)), completion_window="3s")
    done = ended(client, batch)
    assert (done.status, bool(done.expired_at), bool(done.finalizing_at)) == ("expired", True, True)
    answered, rest = results(client, done.output_file_id), results(client, done.error_file_id)
    assert len(answered) + len(rest) == 300
    assert answered
    assert {line["error"]["code"] for line in rest.values()} == {"batch_expired"}


def test_interactive_jobs_do_not_wait_for_a_batch(slow: Installation, client: OpenAI) -> None:
    batch = begin(client, *(chat_line(f"{n}", max_tokens=10) for n in range(300)))
    eventually(lambda: counts(client, batch.id)["completed"] >= 3)
    for _ in range(3):
        asked = slow.submit("Prove it", force_task_type="math", max_tokens=10)
        view = slow.finished(asked)
        with closing(Database(slow.database_url)) as ledger:
            (row,) = ledger.fetch(
                "SELECT count(*)::int AS n FROM job WHERE batch_id IS NOT NULL AND started_at > %(made)s"
                " AND started_at < %(begun)s",
                {"made": view["created_at"], "begun": view["started_at"]},
            )
        assert row["n"] <= SLOTS
    assert counts(client, batch.id)["completed"] < 300
    client.batches.cancel(batch.id)
    assert ended(client, batch).status == "cancelled"


def test_batches_of_all_kinds_and_keys_together_leave_a_slot(
    fresh: Installation, client: OpenAI, database: Database
) -> None:
    fresh.settings |= {"MATHCODE_SLOTS": "8", "MATHCODE_SCRIPTED_DELAY_S": "0.01"}
    fresh.start("api", "mathstral", "codestral", "light", "beat")
    models = ("mathstral", "codestral", "hybrid")
    lines = jsonl(*(chat_line(f"{n}", model=models[n % 3], max_tokens=100) for n in range(600)))
    for name in ("alice", "bob"):
        caller = client.with_options(api_key=KeyStore(database).create(name, Limits())[1])
        caller.batches.create(
            input_file_id=upload(caller, lines), endpoint="/v1/chat/completions", completion_window="24h"
        )
    running = "SELECT count(*)::int AS n FROM completion WHERE state = 'running' AND model = 'mathstral'"
    eventually(lambda: database.fetch(running)[0]["n"] >= 4)
    eventually(lambda: len(database.fetch("SELECT 1 FROM batch WHERE completed > 20")) == 2)
    for _ in range(20):  # four lanes divide six places
        assert database.fetch(running)[0]["n"] <= 6
        fresh.ask("Prove it", force_task_type="math", max_tokens=1)
    fresh.kill("light")


@pytest.mark.parametrize("slots", [1, 4])
def test_a_flood_of_batches_holds_up_neither_a_hybrid_job_nor_another_keys_batch(
    fresh: Installation, client: OpenAI, database: Database, slots: int
) -> None:
    """Merging is the light worker's as well, and it has few threads."""
    fresh.settings |= {"MATHCODE_SLOTS": str(slots)}
    fresh.start("api", "mathstral", "codestral", "light", "beat")
    flood = jsonl(*(chat_line(f"{number}") for number in range(8_000)))
    _, token = KeyStore(database).create("flooder", Limits())
    flooder, file_id = client.with_options(api_key=token), upload(client.with_options(api_key=token), flood)
    for _ in range(8):
        flooder.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
    eventually(lambda: database.fetch("SELECT 1 FROM batch WHERE worker IS NOT NULL"))
    assert fresh.ask("Prove it", force_task_type="hybrid", max_tokens=1)["status"] == "succeeded"
    unbegun = "SELECT 1 FROM batch WHERE state = 'validating' AND key_id IS NOT NULL"
    assert database.fetch(unbegun)
    if slots > 1:
        assert ended(client, begin(client, chat_line("small"))).status == "completed"
        assert database.fetch(unbegun)
    fresh.kill("light")  # the rest is of no interest


def test_open_batches_are_looked_at_in_turn_of_their_keys(database: Database) -> None:
    files, made = {key: finished_file(database, key) for key in "ab"}, dict[str, str]()
    for name in ("a1", "a2", "a3", "b1", "b2"):
        new = NewBatch(
            file_id=files[name[0]], endpoint="/v1/completions", window="24h", window_s=60, key_id=name[0]
        )
        made[BatchStore(database).create(new).uuid] = name
    found = [batch.uuid.replace("-", "") for batch in ClaimStore(database, lease_s=60).open()]
    assert [made[uuid] for uuid in found] == ["a1", "b1", "a2", "b2", "a3"]


def finished_file(database: Database, key_id: str | None = None) -> str:
    writer = FileStore(database).create(purpose="batch", key_id=key_id)
    writer.write(b"{}\n")
    return writer.finish(filename="in.jsonl", lives_s=None).id


def test_kill_9_loses_and_repeats_nothing(fresh: Installation, client: OpenAI) -> None:
    """Of everything while lines become jobs, of the light worker again while it writes the files."""
    fresh.start(*(everything := ("api", "mathstral", "light", "beat")))
    lines = [chat_line(f"{number}", f"Solve x = {number}", max_tokens=2) for number in range(1500)]
    batch = begin(client, *lines)
    with closing(Database(fresh.database_url)) as ledger:
        eventually(lambda: ledger.fetch("SELECT 1 FROM batch WHERE line > 0"), every_s=0.005)
        for name in everything:
            fresh.kill(name)
        (cut,) = ledger.fetch("SELECT line, is_enqueued FROM batch")
        assert cut["line"] > 0 and not cut["is_enqueued"]
        fresh.start(*everything)
        is_writing = "SELECT 1 FROM batch WHERE state = 'finalizing'"
        eventually(lambda: ledger.fetch(is_writing), within_s=90, every_s=0.01)
        fresh.kill("light")
        fresh.start("light")
        done = ended(client, batch)
        assert done.status == "completed"
        assert counts(client, batch.id) == {"total": 1500, "completed": 1500, "failed": 0}
        assert results(client, done.output_file_id).keys() == {line["custom_id"] for line in lines}
        asked = Counter(row["prompt"] for row in ledger.fetch("SELECT request ->> 'prompt' AS prompt FROM job"))
        assert set(asked.values()) == {1}
        assert len(asked) == 1500
        eventually(lambda: not ledger.fetch("SELECT 1 FROM file WHERE uses > 0"))


def test_a_worker_that_was_frozen_changes_nothing(database: Database) -> None:
    new = NewBatch(file_id=finished_file(database), endpoint="/v1/chat/completions", window="24h", window_s=86_400)
    batch = BatchStore(database).create(new)
    claims, jobs = ClaimStore(database, lease_s=60), BatchJobStore(database)
    frozen = claims.claim(batch.uuid)
    assert frozen is not None
    frozen.begin(2)
    assert claims.claim(batch.uuid) is None
    database.execute("UPDATE batch SET lease_until = now() - interval '1 second'")
    second = claims.claim(batch.uuid)
    assert second is not None
    jobs.insert_many(second, [new_job(1)], line=1, position=3)
    for attempt in (
        lambda: jobs.insert_many(frozen, [new_job(1)], line=1, position=3),
        frozen.renew,
        frozen.finalize,
        lambda: frozen.fail([]),
        lambda: frozen.end(completed=0, failed=0, output=None, error_file=None),
    ):
        with pytest.raises(ClaimLost):
            attempt()
    frozen.release()
    assert (second.renew().state, second.batch.line) == (BatchState.IN_PROGRESS, 1)
    assert [row["batch_line"] for row in database.fetch("SELECT batch_line FROM job")] == [1]


def new_job(line: int) -> NewJob:
    return NewJob(
        request=GenerationRequest(prompt="Prove it", priority=Priority.LOW),
        route=Route(task_type=TaskType.MATH, confidence=1.0, reasons=()),
        models=(ModelName.MATHSTRAL,),
        waiting=frozenset(),
        deadline_s=60.0,
        window=4,
        origin=Origin(batch_line=line, batch_choice=0),
    )


def test_a_file_in_use_is_not_deleted_over_http(fresh: Installation, client: OpenAI) -> None:
    fresh.start("api")
    file_id = upload(client, b"{}\n")
    client.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
    response = requests.delete(f"{fresh.url}/v1/files/{file_id}", timeout=30)
    assert (response.status_code, response.headers["x-should-retry"]) == (409, "false")
    assert response.json()["error"]["code"] == "file_in_use"
