"""Following a job over HTTP: resumed anywhere, ended once, and what a dropped connection does."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import requests
from redis import Redis

from core.database import Database
from core.events import ENDED_KEPT_S, Done, EventLog, Piece, Restarted
from core.messages import JobState, ModelName
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation

HYBRID_PROMPT = "Implement a numerical gradient descent algorithm with mathematical proof"
FINISHED = "18446744073709551615-1"


@pytest.fixture
def log(urls: ServerUrls) -> Iterator[EventLog]:
    with closing(EventLog.connect(urls.redis_url)) as opened:
        yield opened


@pytest.fixture(scope="module", params=[{}])
def silent(
    request: pytest.FixtureRequest,
    new_urls: Callable[[], ServerUrls],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """An API without workers, with the settings of its parameter: nobody else writes events or ends jobs."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("silent")
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=dict(request.param)
    ) as made:
        made.start("api")
        yield made


def names(events: list[tuple[str | None, str, dict[str, Any]]]) -> list[str]:
    return [name for _, name, _ in events]


def piece(text: str, attempt: int = 1) -> Piece:
    return Piece(model=ModelName.MATHSTRAL, attempt=attempt, text=text)


def forget_events(installed: Installation, job_id: str) -> None:
    with closing(Redis.from_url(installed.redis_url)) as redis:
        redis.delete(f"mathcode:events:{job_id}")


def close_in_ledger(database: Database, job_id: str) -> None:
    """As a worker does whose Redis is away: nobody hears of it."""
    database.execute("UPDATE job SET state = 'failed', finished_at = now() WHERE id = %(id)s", {"id": job_id})


def test_a_hybrid_job_streams_both_models_and_then_the_merged_answer(running: Installation) -> None:
    job_id = running.submit(HYBRID_PROMPT, max_tokens=20)
    events = running.events(job_id)
    assert names(events)[-2:] == ["answer", "done"]
    assert {data["model"] for _, name, data in events if name == "piece"} == {"mathstral", "codestral"}
    assert events[-2][2] == running.job(job_id)["answer"]


def test_resuming_after_any_event_by_header_or_query_gives_the_rest(running: Installation) -> None:
    job_id = running.submit(HYBRID_PROMPT, max_tokens=20)
    events = running.events(job_id)
    assert len({event_id for event_id, _, _ in events}) == len(events)
    for position, (event_id, _, _) in enumerate(events[:-1]):
        assert running.events(job_id, after=event_id) == events[position + 1 :]
    queried = running.get(f"/v1/jobs/{job_id}/events", params={"after": events[0][0]})
    assert queried.text.count("\nid: ") == len(events) - 1
    both = running.get(
        f"/v1/jobs/{job_id}/events", params={"after": events[0][0]}, headers={"Last-Event-ID": str(events[-2][0])}
    )
    assert both.text.count("\nid: ") == 1


def test_who_has_had_the_end_is_told_not_to_come_back(running: Installation, urls: ServerUrls) -> None:
    job_id = running.submit("Prove it", max_tokens=2)
    last = running.events(job_id)[-1][0]
    for event_id in (str(last), FINISHED):
        response = running.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": event_id})
        assert (response.status_code, response.content) == (204, b"")


def test_the_ledger_has_the_answer_when_redis_has_lost_the_events(running: Installation) -> None:
    job = running.ask(HYBRID_PROMPT, max_tokens=4)
    forget_events(running, job["id"])
    events = running.events(job["id"])
    assert [(name, data) for _, name, data in events] == [
        ("answer", job["answer"]),
        ("done", {"status": "succeeded"}),
    ]
    assert running.events(job["id"], after=events[0][0]) == events[1:]


def test_redis_keeps_events_for_minutes_after_the_end_and_not_for_days(running: Installation) -> None:
    jobs = [running.ask("What is 2 + 2?", max_tokens=4), running.ask(HYBRID_PROMPT, max_tokens=4)]
    with closing(Redis.from_url(running.redis_url)) as redis:
        kept_s = [redis.ttl(f"mathcode:events:{job['id']}") for job in jobs]
    assert all(0 < each <= ENDED_KEPT_S for each in kept_s)


def test_an_open_stream_ends_by_the_ledger_when_nobody_tells_of_the_end(silent: Installation) -> None:
    jobs = [silent.submit("Prove it"), silent.submit("Prove it")]
    with (
        closing(Database(silent.database_url)) as database,
        silent.get(f"/v1/jobs/{jobs[0]}/events", stream=True) as first,
        silent.get(f"/v1/jobs/{jobs[1]}/events", stream=True) as second,
    ):
        close_in_ledger(database, jobs[0])
        database.execute("DELETE FROM job WHERE id = %(id)s", {"id": jobs[1]})
        assert '"status":"failed"' in first.text
        assert '"status":"cancelled"' in second.text


def test_another_process_of_the_api_goes_on_where_the_first_was_killed(
    fresh: Installation, urls: ServerUrls, log: EventLog, tmp_path: Path
) -> None:
    fresh.start("api")
    job_id = fresh.submit("Prove it")
    log.append(job_id, *(piece(f"{number} ") for number in range(10)))
    with fresh.get(f"/v1/jobs/{job_id}/events", stream=True) as response:
        lines = response.iter_lines(decode_unicode=True)
        seen = [next(line for line in lines if line.startswith("id: "))[4:] for _ in range(5)]
        fresh.kill("api")
    second = tmp_path / "second"
    second.mkdir()
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=second) as other:
        other.start("api")
        Thread(target=_finish, args=(log, job_id), daemon=True).start()
        events = other.events(job_id, after=seen[-1])
    texts = [data["text"].strip() for _, name, data in events if name == "piece"]
    assert texts == [str(number) for number in range(5, 12)]
    assert names(events).count("done") == 1


def _finish(log: EventLog, job_id: str) -> None:
    for number in (10, 11):
        Event().wait(0.1)
        log.append(job_id, piece(f"{number} "))
    log.append(job_id, Done(status=JobState.SUCCEEDED))


def test_resuming_knows_the_newest_attempt(silent: Installation) -> None:
    job_id = silent.submit("Prove it")
    restarted = Restarted(model=ModelName.MATHSTRAL, attempt=2)
    with closing(EventLog.connect(silent.redis_url)) as log:
        log.append(job_id, piece("old"), restarted, piece("new", 2), piece("void"), piece(" text", 2))
        log.append(job_id, Done(status=JobState.SUCCEEDED))
    events = silent.events(job_id)
    assert [data.get("text") for _, name, data in events if name == "piece"] == ["old", "new", " text"]
    assert silent.events(job_id, after=events[2][0]) == events[3:]


ONE_SEAT = {"MATHCODE_KEEP_ALIVE_S": "60", "MATHCODE_STREAMS": "1"}


@pytest.mark.parametrize("silent", [ONE_SEAT], indirect=True)
@pytest.mark.parametrize(("wish", "status"), [("true", "cancelled"), ("false", "queued"), (None, "queued")])
def test_a_dropped_connection_cancels_only_on_request(silent: Installation, wish: str | None, status: str) -> None:
    job_id = silent.submit("Prove it")
    query = {"cancel_on_disconnect": wish} if wish else {}
    with eventually(lambda: _opened(silent, job_id, query)) as response:
        assert next(response.iter_lines()) == b": keep-alive"
    start = time.monotonic()
    with eventually(lambda: _opened(silent, job_id), within_s=5):
        assert time.monotonic() - start < 5, "the seat of a closed stream is free at once"
    if status == "cancelled":
        eventually(lambda: silent.status(job_id) == status, within_s=5)
    assert silent.status(job_id) == status


def _opened(
    installed: Installation, job_id: str, query: Mapping[str, str] | None = None
) -> requests.Response | None:
    """The stream of a job, where there is a seat for it."""
    response = installed.get(f"/v1/jobs/{job_id}/events", params=query, stream=True)
    return response if response.status_code == 200 else None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_the_api_cancels_nothing(
    fresh: Installation, database: Database, number: signal.Signals
) -> None:
    fresh.start("api")
    job_id = fresh.submit("Prove it")
    path = f"/v1/jobs/{job_id}/events?cancel_on_disconnect=true"
    with fresh.get(path, stream=True) as response:
        lines = response.iter_lines()
        next(lines)
        fresh.signal("api", number)
        start = time.monotonic()
        assert fresh.processes.pop("api").wait(10) in {0, -signal.SIGKILL}
        assert time.monotonic() - start < 3, "open streams do not hold the end up"
    (row,) = database.fetch("SELECT state, cancel_requested_at FROM job WHERE id = %(id)s", {"id": job_id})
    assert (row["state"], row["cancel_requested_at"]) == ("queued", None)


def test_a_stream_that_ended_cancels_nothing_and_neither_does_head(running: Installation) -> None:
    job_id = running.submit("Prove it", max_tokens=4)
    path = f"{running.url}/v1/jobs/{job_id}/events?cancel_on_disconnect=true"
    headed = requests.head(path, timeout=10)
    assert (headed.status_code, headed.headers["X-Accel-Buffering"]) == (200, "no")
    assert '"status":"succeeded"' in requests.get(path, timeout=30).text
    assert running.job(job_id)["cancel_requested_at"] is None


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("after=x", "after"),
        ("after=1-2%0d%0aX: y", "after"),
        ("after=%D9%A1-%D9%A2", "after"),
        ("after=18446744073709551616-0", "after"),
        (f"after={'9' * 5000}-0", "after"),
        ("cancel_on_disconnect=1", "cancel_on_disconnect"),
        ("cursor=1", "cursor"),
    ],
)
def test_a_bad_wish_is_refused_by_name(running: Installation, query: str, param: str) -> None:
    job_id = running.submit("Prove it", max_tokens=1)
    response = running.get(f"/v1/jobs/{job_id}/events?{query}")
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_a_hundred_streams_and_everybody_else_are_served(fresh: Installation, log: EventLog) -> None:
    fresh.settings.update(MATHCODE_API_THREADS="2")
    fresh.start("api")
    jobs = [fresh.submit("Prove it") for _ in range(100)]
    texts: dict[str, str] = {}

    def read(job_id: str) -> None:
        texts[job_id] = fresh.get(f"/v1/jobs/{job_id}/events").text

    readers = [Thread(target=read, args=(job_id,), daemon=True) for job_id in jobs]
    for reader in readers:
        reader.start()
    for number in range(3):
        for job_id in jobs:
            log.append(job_id, piece(f"{job_id} {number}"))
        assert fresh.status(jobs[0]) == "queued"
    for job_id in jobs:
        log.append(job_id, Done(status=JobState.SUCCEEDED))
    for reader in readers:
        reader.join(30)
    for job_id in jobs:
        assert [f"{job_id} {number}" in texts[job_id] for number in range(3)] == [True] * 3
        assert texts[job_id].count("event: ") == 4
