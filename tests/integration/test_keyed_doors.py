"""OpenAI's doors, files and batches where keys are needed: who gets in, what is whose, limits, repetition."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from typing import Any

import openai
import pytest
from openai import OpenAI

from core.batches import BatchStore
from core.database import Database
from core.keys import KeyStore, Limits, Rate
from stack.servers import ServerUrls
from tests.harness import ROOT, Installation, eventually, installation
from tests.keyed import Keyed, chat_line, client_of, new_caller
from tests.openai_calls import ask, job_ids, texts

ONE_AN_HOUR = Rate(amount=1, period_s=3600)
NewCaller = Callable[..., Keyed]


@pytest.fixture(scope="module")
def doors(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Keys are needed, one call may wait at a time, a token takes a fiftieth of a second."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("keyed")
    settings = {
        "MATHCODE_REQUIRE_KEYS": "always",
        "MATHCODE_STREAMS": "1",
        "MATHCODE_SCRIPTED_DELAY_S": "0.02",
        "MATHCODE_CALL_WAIT_S": "20",
    }
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=settings
    ) as made:
        made.start("api", "mathstral", "codestral", "light", "beat")
        yield made


@pytest.fixture(scope="module")
def make(doors: Installation) -> NewCaller:
    """A caller with a key of its own, and with `limits`."""
    numbers = count()
    return lambda **limits: new_caller(doors, f"caller-{next(numbers)}", Limits(**limits))


def once(key: str) -> dict[str, Any]:
    return {"extra_headers": {"Idempotency-Key": key}}


def short(client: Any, **fields: Any) -> Any:
    return ask(client, model="mathstral", **{"max_completion_tokens": 3, **fields})


DOORS = [
    ("GET", "/models"),
    ("GET", "/models/mathcode"),
    ("POST", "/chat/completions"),
    ("POST", "/completions"),
    ("POST", "/files"),
    ("GET", "/files/file-1/content"),
    ("DELETE", "/files/file-1"),
    ("POST", "/batches"),
    ("GET", "/batches"),
    ("POST", "/batches/batch_1/cancel"),
]


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_no_door_opens_without_a_key_and_says_so_in_openais_shape(
    doors: Installation, method: str, path: str
) -> None:
    with OpenAI(base_url=f"{doors.url}/v1", api_key="sk-unused", max_retries=0) as client:
        send = {"GET": client.get, "POST": client.post, "DELETE": client.delete}[method]
        with pytest.raises(openai.AuthenticationError) as caught:
            send(path, cast_to=object)  # type: ignore[operator]
    assert (caught.value.code, caught.value.type) == ("unauthorized", "authentication_error")


def test_a_call_is_its_keys_job(make: NewCaller) -> None:
    alice, bob = make(), make()
    with client_of(alice) as client:
        (job_id,) = job_ids(short(client))
        assert [job["id"] for job in alice.get("/v1/jobs").json()["data"]] == [job_id]
        assert {model.id for model in client.models.list()} >= {"mathcode", "mathstral"}
    assert bob.get(f"/v1/jobs/{job_id}").status_code == 404
    assert bob.get("/v1/jobs").json()["data"] == []


def test_a_limit_is_told_in_the_shape_of_the_door(make: NewCaller) -> None:
    caller = make(requests=ONE_AN_HOUR)
    with client_of(caller) as client:
        short(client)
        with pytest.raises(openai.RateLimitError) as caught:
            short(client, stream=True)
    error = caught.value
    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert error.response.headers["Retry-After"] == "120"
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"
    native = caller.ask()
    assert (native.status_code, set(native.json()["error"])) == (429, {"code", "message", "param"})


def test_where_one_choice_is_refused_none_goes_on(make: NewCaller) -> None:
    caller = make(requests=ONE_AN_HOUR)
    with client_of(caller) as client, pytest.raises(openai.RateLimitError):
        short(client, n=2, max_completion_tokens=500)
    (job,) = caller.get("/v1/jobs").json()["data"]
    assert caller.finished(job["id"])["status"] == "cancelled"


def test_a_call_may_wait_at_the_door_in_the_seat_that_it_has(make: NewCaller) -> None:
    caller = make(requests=Rate(amount=1, period_s=1))
    with client_of(caller) as client:
        for _ in range(3):
            assert short(client, extra_headers={"Prefer": "wait=5"}).choices
        answer = short(client, n=3, extra_headers={"Prefer": "wait=15"})
    assert len(set(job_ids(answer))) == 3


def test_asked_twice_under_one_key_answered_once(make: NewCaller) -> None:
    caller = make(requests=Rate(amount=2, period_s=3600))
    with client_of(caller) as client:
        raw = client.chat.completions.with_raw_response.create
        fields: Any = {
            "model": "mathstral",
            "messages": [{"role": "user", "content": "Prove it"}],
            "max_tokens": 3,
        }
        first, again = (raw(**fields, n=2, **once("k")) for _ in range(2))
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.parse() == first.parse()
        with pytest.raises(openai.ConflictError) as caught:
            raw(**fields, n=1, **once("k"))
    assert caught.value.code == "idempotency_conflict"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(caller.get("/v1/jobs").json()["data"]) == 2


def test_a_stream_is_repeated_too(make: NewCaller) -> None:
    with client_of(make()) as client:
        first, again = (list(short(client, stream=True, **once("s"))) for _ in range(2))
    assert texts(again) == texts(first) != [""]
    assert again[0].id == first[0].id


def test_who_hangs_up_and_asks_again_under_the_same_key_gets_the_answer(make: NewCaller) -> None:
    caller = make()
    with client_of(caller, max_retries=5) as client:
        hasty = client.with_options(timeout=0.2, max_retries=0)
        for _ in range(2):  # the second is a replay: it is not cancelled either
            with pytest.raises((openai.APITimeoutError, openai.InternalServerError)):
                short(hasty, max_completion_tokens=40, **once("h"))
        answer = short(client, max_completion_tokens=40, **once("h"))
    assert answer.usage.completion_tokens == 40
    assert len(caller.get("/v1/jobs").json()["data"]) == 1


def test_a_call_refused_halfway_is_completed_under_its_key(make: NewCaller) -> None:
    caller = make(requests=Rate(amount=1, period_s=1))
    with client_of(caller, max_retries=0) as client:
        with pytest.raises(openai.RateLimitError):
            short(client, n=2, **once("n"))
        answer = short(client.with_options(max_retries=4), n=2, **once("n"))
    assert [choice.finish_reason for choice in answer.choices] == ["length"] * 2
    assert len(caller.get("/v1/jobs").json()["data"]) == 2


def test_files_and_batches_are_their_keys_own_and_take_nothing_from_who_asks(make: NewCaller) -> None:
    alice, bob = make(requests=ONE_AN_HOUR, max_queued=1, daily_tokens=10), make()
    with client_of(alice) as hers, client_of(bob) as his:
        content = "\n".join(map(chat_line, range(6))).encode()
        file = hers.files.create(file=("in.jsonl", content), purpose="batch")
        asked: dict[str, Any] = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = hers.batches.create(input_file_id=file.id, **asked)
        for reach in (
            lambda: his.files.retrieve(file.id),
            lambda: his.files.content(file.id),
            lambda: his.files.delete(file.id),
            lambda: his.batches.create(input_file_id=file.id, **asked),
            lambda: his.batches.retrieve(batch.id),
            lambda: his.batches.cancel(batch.id),
        ):
            with pytest.raises(openai.NotFoundError):
                reach()
        assert (his.files.list().data, his.batches.list().data) == ([], [])
        assert [one.id for one in hers.batches.list()] == [batch.id]
        done: Any = eventually(
            lambda: (found := hers.batches.retrieve(batch.id)).status == "completed" and found, every_s=0.2
        )
        assert done.request_counts.completed == 6
        with pytest.raises(openai.NotFoundError):
            his.files.content(done.output_file_id)
        short(hers)
        with pytest.raises(openai.RateLimitError, match="in batches") as caught:  # more than ten tokens, by now
            hers.batches.create(input_file_id=file.id, **asked)
        assert caught.value.code == "daily_tokens_exceeded"
    assert len(alice.get("/v1/jobs", params={"limit": 100}).json()["data"]) == 7
    with closing(Database(alice.installation.database_url)) as database:
        (key,) = [key for key in KeyStore(database).all() if key.id == alice.key_id]
    assert key.batch_tokens_today > 0


def test_a_file_sent_many_times_under_one_key_is_one(make: NewCaller) -> None:
    caller, other, content = make(), make(), b"{}\n" * 1000
    once_key = {"Idempotency-Key": "f"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller.upload(content, **once_key), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    conflict = caller.upload(content[:-1], **once_key)
    assert (conflict.status_code, conflict.headers["x-should-retry"]) == (409, "false")
    assert conflict.json()["error"]["code"] == "idempotency_conflict"
    assert other.upload(content, **once_key).json()["id"] != answers[0].json()["id"]
    assert caller.upload(content, **{"Idempotency-Key": ""}).status_code == 400
    with client_of(caller) as client:
        assert [file.id for file in client.files.list()] == [answers[0].json()["id"]]


def test_a_batch_of_a_revoked_key_ends(doors: Installation, make: NewCaller) -> None:
    caller = make()
    with client_of(caller) as client:
        lines = "\n".join(chat_line(number, max_tokens=2000) for number in range(20))
        file = client.files.create(file=("in.jsonl", lines.encode()), purpose="batch")
        asked: dict[str, Any] = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = client.batches.create(input_file_id=file.id, **asked)
        eventually(lambda: client.batches.retrieve(batch.id).status == "in_progress", every_s=0.1)
    with closing(Database(doors.database_url)) as database:
        KeyStore(database).revoke(caller.key_id)
        batches = BatchStore(database)
        ended = eventually(
            lambda: (found := batches.get(batch.id, key_id=None)).state.is_final and found, every_s=0.1
        )
    assert (ended.state, ended.completed, ended.failed) == ("cancelled", 0, 20)


def test_a_batch_asked_for_many_times_under_one_key_is_one(make: NewCaller) -> None:
    caller, other = make(), make()
    with client_of(caller) as client:
        file = client.files.create(file=("in.jsonl", chat_line(0).encode()), purpose="batch")
        asked = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        with ThreadPoolExecutor(16) as pool:
            key = {"Idempotency-Key": "b"}
            answers = list(pool.map(lambda _: caller.post("/v1/batches", asked, **key), range(16)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
        assert len(client.batches.list().data) == 1
        conflict = caller.post("/v1/batches", {**asked, "completion_window": "6h"}, **key)
        assert (conflict.status_code, conflict.headers["x-should-retry"]) == (409, "false")
        assert other.post("/v1/batches", asked, **key).status_code == 404, "the file is another's"
        eventually(lambda: client.batches.list().data[0].status == "completed", every_s=0.2)
        assert client.files.delete(file.id).deleted, "it must be held by one batch, which has ended"


def test_a_batch_that_was_refused_takes_no_key(make: NewCaller) -> None:
    caller = make()
    asked = {"input_file_id": f"file-{'0' * 32}", "endpoint": "/v1/completions", "completion_window": "24h"}
    for _ in range(2):
        answer = caller.post("/v1/batches", asked, **{"Idempotency-Key": "r"})
        assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (404, False)


def test_the_batch_command_sends_the_key_of_its_environment(doors: Installation, make: NewCaller) -> None:
    words = [sys.executable, "-m", "cli.main", "batch", "list"]
    for key, code in ((make().token, 0), ("mk_wrong", 2)):
        environment = {**os.environ, **doors.environment, "MATHCODE_API_KEY": key}
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize("example", ["openai_stream.py", "batch.py"])
def test_the_examples_send_it_too(doors: Installation, make: NewCaller, example: str) -> None:
    words = [sys.executable, f"examples/{example}", f"{doors.url}/v1"]
    caller = make()
    environment = {**os.environ, **doors.environment, "OPENAI_API_KEY": caller.token}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert caller.get("/v1/jobs").json()["data"]
