"""Limits of keys and of the installation: refused honestly, or waited for at the door."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from threading import Event

import pytest
import requests

from core.database import Database
from core.keys import KeyStore, Limits, Rate
from core.limits import LimitStore
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, has_text, installation
from tests.keyed import Keyed, new_caller

SLOTS = 2
NewCaller = Callable[[Limits], Keyed]


@pytest.fixture(scope="module")
def doors(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Workers of two slots, a fiftieth of a second per token."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("doors")
    settings = {"MATHCODE_SLOTS": str(SLOTS), "MATHCODE_SCRIPTED_DELAY_S": "0.02", "MATHCODE_MAX_WAIT_S": "20"}
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=settings
    ) as made:
        made.start("api", "mathstral", "light", "beat")
        yield made


@pytest.fixture(scope="module")
def with_limits(doors: Installation) -> NewCaller:
    numbers = count()
    return lambda limits: new_caller(doors, f"limited-{next(numbers)}", limits)


def refused(response: requests.Response, status: int, code: str) -> int:
    """Assert how it was refused; its Retry-After in seconds."""
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    seconds = int(response.headers["Retry-After"])
    assert 1 <= seconds <= 120
    return seconds


def test_requests_beyond_the_rate_are_refused_and_told_when(with_limits: NewCaller) -> None:
    caller = with_limits(Limits(requests=Rate(amount=3, period_s=60)))
    answers = [caller.ask() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"3"}
    assert 15 <= refused(answers[3], 429, "rate_limit_exceeded") <= 20
    assert caller.get("/v1/jobs").status_code == 200, "reading takes nothing"


def test_a_rate_lets_in_again_what_it_has_refilled(with_limits: NewCaller) -> None:
    caller = with_limits(Limits(requests=Rate(amount=2, period_s=1)))
    assert [caller.ask().status_code for _ in range(2)] == [202, 202]
    seconds = refused(caller.ask(), 429, "rate_limit_exceeded")
    Event().wait(seconds)  # as a client would
    assert caller.ask().status_code == 202


def test_tokens_are_counted_as_they_are_asked_for(with_limits: NewCaller) -> None:
    caller = with_limits(Limits(tokens=Rate(amount=1000, period_s=3600)))
    first = caller.ask("x" * 400, max_tokens=500)
    assert (first.status_code, first.headers["x-ratelimit-remaining-tokens"]) == (202, "400")
    assert refused(caller.ask("x" * 400, max_tokens=500), 429, "rate_limit_exceeded") == 120
    assert caller.ask("x" * 400, max_tokens=200).status_code == 202
    never = caller.ask(max_tokens=2000)
    assert (never.status_code, never.json()["error"]["code"]) == (400, "tokens_over_rate")


def test_another_key_has_a_bucket_of_its_own(with_limits: NewCaller) -> None:
    first, second = (with_limits(Limits(requests=Rate(amount=1, period_s=3600))) for _ in range(2))
    assert [caller.ask().status_code for caller in (first, second, first)] == [202, 202, 429]


def test_a_bucket_gives_no_more_than_it_holds_however_many_ask_at_once(database: Database) -> None:
    limits = Limits(requests=Rate(amount=10, period_s=3600))
    key, _ = KeyStore(database).create("x", limits)
    store = LimitStore(database)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.take(key.id, limits, tokens=1), range(40)))
    assert sum(taken) == 10
    assert 0 <= store.level(key.id, limits).requests < 1


def test_a_queue_of_its_own_is_bounded_and_drains(doors: Installation, with_limits: NewCaller) -> None:
    caller = with_limits(Limits(max_queued=3))
    running = [caller.submit(max_tokens=400) for _ in range(SLOTS)]
    for job_id in running:
        doors.await_running(job_id)
    waiting = [caller.submit() for _ in range(3)]
    refused(caller.ask(), 429, "queue_limit_exceeded")
    assert with_limits(Limits()).ask().status_code == 202
    for job_id in running:
        caller.post(f"/v1/jobs/{job_id}/cancel")
    for job_id in waiting:
        caller.finished(job_id)
    assert caller.ask().status_code == 202


def test_a_full_queue_is_waited_out_at_the_door(doors: Installation, with_limits: NewCaller) -> None:
    caller = with_limits(Limits(max_queued=1))
    for _ in range(SLOTS):
        doors.await_running(caller.submit(max_tokens=200))  # the next one must not find it queued
    caller.submit()
    begun = time.monotonic()
    assert caller.ask(wait_s=0.5).status_code == 429
    assert 0.4 < time.monotonic() - begun < 5
    assert caller.ask(wait_s=15).status_code == 202


def test_prefer_wait_waits_out_a_rate(with_limits: NewCaller) -> None:
    caller = with_limits(Limits(requests=Rate(amount=1, period_s=1)))
    body = {"prompt": "Prove it", "max_tokens": 1}
    assert caller.ask().status_code == 202
    assert caller.post("/v1/jobs", body, Prefer="respond-async, wait=10").status_code == 202
    assert caller.post("/v1/jobs", body, Prefer="wait=soon").status_code == 429


def test_tokens_of_the_day_are_those_that_were_used(doors: Installation, with_limits: NewCaller) -> None:
    caller = with_limits(Limits(daily_tokens=30))
    job = caller.finished(caller.submit(max_tokens=20))
    (completion,) = job["answer"]["completions"]
    used = completion["prompt_tokens"] + completion["completion_tokens"]
    with closing(Database(doors.database_url)) as database:
        assert LimitStore(database).used_today(caller.key_id)[0] == used
        (key,) = [key for key in KeyStore(database).all() if key.id == caller.key_id]
        assert (key.tokens_today, key.batch_tokens_today) == (used, 0)
    while used < 30:
        job = caller.finished(caller.submit(max_tokens=20))
        used += sum(job["answer"]["completions"][0][name] for name in ("prompt_tokens", "completion_tokens"))
    answer = caller.ask(wait_s=10)
    refused(answer, 429, "daily_tokens_exceeded")
    assert answer.headers["x-should-retry"] == "false"
    assert "midnight UTC" in answer.json()["error"]["message"]


def test_text_that_was_cancelled_counts_as_used(doors: Installation, with_limits: NewCaller) -> None:
    caller = with_limits(Limits())
    job_id = caller.submit(max_tokens=600)
    doors.await_running(job_id)
    eventually(lambda: has_text(doors, job_id))
    caller.post(f"/v1/jobs/{job_id}/cancel")
    assert caller.finished(job_id)["answer"]["response"]
    with closing(Database(doors.database_url)) as database:
        assert LimitStore(database).used_today(caller.key_id)[0] > 0


def test_the_installation_is_bounded_too_and_retry_after_is_what_was_measured(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_MAX_QUEUED="12", MATHCODE_SLOTS="1")
    fresh.start("api", "mathstral")
    for _ in range(12):
        fresh.ask("Prove it", max_tokens=1, force_task_type="math")
    fresh.terminate("mathstral")
    answers = [fresh.post("/v1/jobs", {"prompt": "Prove it", "max_tokens": 1}) for _ in range(13)]
    assert [answer.status_code for answer in answers] == [202] * 12 + [503]
    assert refused(answers[12], 503, "queue_full") == 5, "12 ended in the last minute: one each 5 s"


def test_no_key_fills_the_queue_alone(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_MAX_QUEUED="8", MATHCODE_API_THREADS="2")
    fresh.start("api")
    greedy, modest = new_caller(fresh, "greedy"), new_caller(fresh, "modest")
    assert [greedy.ask().status_code for _ in range(5)] == [202] * 4 + [429]
    assert refused(greedy.ask(), 429, "queue_limit_exceeded") == 60, "nothing ended: nothing can be computed"
    assert modest.ask().status_code == 202


def test_who_waits_at_the_door_never_takes_all_threads(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_MAX_QUEUED="1", MATHCODE_STREAMS="2", MATHCODE_API_THREADS="2")
    fresh.start("api")
    fresh.submit("Prove it")
    with ThreadPoolExecutor(6) as pool:
        body = {"prompt": "Prove it", "wait_s": 3}
        waiting = [pool.submit(fresh.post, "/v1/jobs", body) for _ in range(6)]
        begun = time.monotonic()
        for _ in range(5):
            assert fresh.get("/healthz").status_code == 200
        assert time.monotonic() - begun < 2
        took = [future.result() for future in waiting]
    assert {answer.status_code for answer in took} == {503}


@pytest.mark.parametrize("wait_s", [-1, "5", 1e9, None, True])
def test_a_wait_that_makes_no_sense_is_refused_by_name(doors: Installation, wait_s: object) -> None:
    response = doors.post("/v1/jobs", {"prompt": "Prove it", "max_tokens": 1, "wait_s": wait_s})
    if wait_s is None:
        assert response.status_code == 202
    else:
        assert (response.status_code, response.json()["error"]["param"]) == (400, "wait_s")


def test_a_ledger_that_fails_is_said_so_at_a_key_with_rates_too(fresh: Installation, database: Database) -> None:
    fresh.start("api")
    caller = new_caller(fresh, "x", Limits(requests=Rate(amount=9, period_s=60)))
    assert caller.ask().headers["x-ratelimit-remaining-requests"] == "8"
    database.execute("ALTER TABLE key_bucket RENAME TO lost")
    assert refused(caller.ask(), 503, "database_unavailable") >= 1


def test_who_hangs_up_while_waiting_at_the_door_leaves_the_seat(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_MAX_QUEUED="1", MATHCODE_STREAMS="1")
    fresh.start("api")
    fresh.submit("Prove it")
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{fresh.url}/v1/jobs", json={"prompt": "Prove it", "wait_s": 50}, timeout=0.5)
    eventually(lambda: _seconds_waited(fresh) > 0.7, within_s=10, every_s=0.2)


def _seconds_waited(installed: Installation) -> float:
    """At the door, before a refusal; none where no seat is free."""
    begun = time.monotonic()
    refused(installed.post("/v1/jobs", {"prompt": "Prove it", "wait_s": 1}), 503, "queue_full")
    return time.monotonic() - begun
