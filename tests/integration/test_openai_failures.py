"""OpenAI's client while things fail: lost workers, full servers, long queues, callers that hang up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

import openai
import pytest
from openai import OpenAI

from core.database import Database
from core.events import EventLog, Piece, Restarted
from core.jobs import JobStore, NewJob
from core.messages import (
    Answer,
    Completion,
    FinishReason,
    GenerationRequest,
    JobState,
    ModelName,
    Route,
    TaskType,
    Verdict,
)
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation
from tests.openai_calls import client_of, texts
from tests.raw_http import exchange

ASK: list[Any] = [{"role": "user", "content": "Prove it"}]


@pytest.fixture(scope="module")
def start(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """An installation of some processes, shared by the tests of this module."""

    @contextmanager
    def started(*names: str, **settings: str) -> Iterator[Installation]:
        urls, directory = new_urls(), tmp_path_factory.mktemp("installation")
        with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory) as made:
            made.start(*names, **settings)
            yield made

    return started


@pytest.fixture(scope="module")
def alone(start: Callable[..., Any]) -> Iterator[Installation]:
    """The API without any worker: jobs stay queued, unless a test ends them."""
    with start("api", MATHCODE_CALL_WAIT_S="1") as made:
        yield made


@pytest.fixture(scope="module")
def slow(start: Callable[..., Any]) -> Iterator[Installation]:
    """Five tokens a second."""
    with start("api", "mathstral", MATHCODE_SCRIPTED_DELAY_S="0.2") as made:
        yield made


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """Of the installation that the test uses."""
    names = [name for name in ("alone", "slow", "fresh") if name in request.fixturenames]
    with client_of(request.getfixturevalue(names[0])) as made:
        yield made


def ask(client: OpenAI, **fields: Any) -> Any:
    """With OpenAI's own defaults."""
    return client.chat.completions.create(model="mathstral", messages=ASK, **fields)


def jobs_of(installation: Installation) -> list[str]:
    """Their ids, newest first."""
    return [str(job["id"]) for job in installation.get("/v1/jobs", params={"limit": 100}).json()["data"]]


class Asked(Thread):
    """A call that is answered, or refused, while the test does something else."""

    def __init__(self, installation: Installation, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.answer: Any = None
        self.error: openai.APIError | None = None
        before = jobs_of(installation)
        self.start()
        self.job_id = eventually(lambda: jobs_of(installation) != before and jobs_of(installation)[0])

    def run(self) -> None:
        try:
            self.answer = self._call()
        except openai.APIError as error:
            self.error = error


def end(database_url: str, job_id: str, said: str) -> None:
    """Give a job its answer in the ledger, without any event."""
    completion = Completion(
        model=ModelName.MATHSTRAL,
        version="m",
        text=said,
        finish_reason=FinishReason.STOP,
        prompt_tokens=1,
        completion_tokens=1,
    )
    answer = Answer(response=said, model_used="m", completions=(completion,))
    with closing(Database(database_url)) as database:
        JobStore(database).close(job_id, Verdict(state=JobState.SUCCEEDED, answer=answer))


def test_a_call_that_outlasts_the_wait_keeps_its_answer(alone: Installation, client: OpenAI) -> None:
    before = jobs_of(alone)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client.with_options(max_retries=2))
    assert (caught.value.status_code, caught.value.code) == (504, "still_running")
    job_id, *others = jobs_of(alone)
    assert others == before  # it was not asked again
    assert f"/v1/jobs/{job_id}" in caught.value.message
    assert alone.job(job_id)["cancel_requested_at"] is None
    end(alone.database_url, job_id, "42")
    assert alone.job(job_id)["answer"]["response"] == "42"


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_cancels(alone: Installation, client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.APITimeoutError):
        list(ask(client.with_options(timeout=0.3), stream=stream))
    assert alone.finished(jobs_of(alone)[0], within_s=10)["status"] == "cancelled"


def test_text_that_begins_again_otherwise_ends_the_stream(alone: Installation, client: OpenAI) -> None:
    asked = Asked(alone, lambda: list(ask(client, stream=True)))
    with closing(EventLog.connect(alone.redis_url)) as events:
        for attempt, said in ((1, "One two"), (2, "One t"), (2, "hree")):
            if said == "One t":
                events.append(asked.job_id, Restarted(model=ModelName.MATHSTRAL, attempt=2))
            events.append(asked.job_id, Piece(model=ModelName.MATHSTRAL, attempt=attempt, text=said))
        asked.join(10)
    assert asked.error is not None
    assert asked.error.code == "stream_broken"
    assert alone.finished(asked.job_id, within_s=10)["status"] == "cancelled"


def test_an_answer_without_events_comes_from_the_ledger(alone: Installation, client: OpenAI) -> None:
    asked = Asked(alone, lambda: texts(list(ask(client, stream=True))))
    end(alone.database_url, asked.job_id, "42")
    asked.join(10)
    assert asked.answer == ["42"]


def test_closing_a_stream_cancels_every_choice(slow: Installation, client: OpenAI) -> None:
    with ask(client, stream=True, n=2) as stream:
        seen = [choice.index for _, chunk in zip(range(8), stream, strict=False) for choice in chunk.choices]
    assert set(seen[2:]) == {0, 1}  # neither waits for the other to end
    states = [slow.finished(job_id, within_s=10)["status"] for job_id in jobs_of(slow)[:2]]
    assert states == ["cancelled"] * 2


@pytest.mark.parametrize(("door", "version"), [("call", "1.1"), ("stream", "1.1"), ("events", "1.0")])
def test_who_only_sends_nothing_more_is_answered(slow: Installation, door: str, version: str) -> None:
    """As clients do that shut down their sending side; `exchange` does so in the middle of the answer."""
    if door == "events":
        job_id = slow.submit("Prove it", force_task_type="math", max_tokens=6)
        head, body = f"GET /v1/jobs/{job_id}/events HTTP/{version}", b""
    else:
        asked = {"model": "mathstral", "messages": ASK, "max_tokens": 6, "stream": door == "stream"}
        head, body = f"POST /v1/chat/completions HTTP/{version}", json.dumps(asked).encode()
    request = f"{head}\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    *interim, (status, content) = exchange(slow.port, request.encode() + body)
    assert {number for number, _ in interim} <= {102}
    ending = {"call": b'"finish_reason":"length"', "stream": b"[DONE]", "events": b'"status":"succeeded"'}
    assert status == 200
    assert ending[door] in content


def test_jobs_that_end_without_an_answer_are_errors(slow: Installation, client: OpenAI) -> None:
    before, patient = jobs_of(slow), client.with_options(max_retries=3)
    with pytest.raises(openai.InternalServerError) as expired:
        ask(patient, extra_body={"deadline_s": 0.5})
    assert (expired.value.status_code, expired.value.code) == (504, "expired")
    asked = Asked(slow, lambda: ask(patient))
    slow.post(f"/v1/jobs/{asked.job_id}/cancel")
    asked.join(10)
    assert isinstance(asked.error, openai.ConflictError)
    assert asked.error.code == "cancelled"
    assert len(jobs_of(slow)) == len(before) + 2  # nothing was asked again


def test_a_stream_that_fails_at_once_is_an_http_error_and_later_one_of_its_own(
    slow: Installation, client: OpenAI
) -> None:
    with pytest.raises(openai.InternalServerError) as at_once:
        ask(client, stream=True, extra_body={"deadline_s": 0.001})
    assert at_once.value.status_code == 504
    stream = ask(client, stream=True, extra_body={"deadline_s": 1})
    with pytest.raises(openai.APIError) as later:
        list(stream)
    assert (at_once.value.code, later.value.code) == ("expired", "expired")


def test_the_client_waits_out_a_full_server(fresh: Installation, client: OpenAI) -> None:
    fresh.start("api", "mathstral", MATHCODE_STREAMS="1", MATHCODE_SCRIPTED_DELAY_S="0.05")
    with ask(client, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client)
        assert (caught.value.status_code, caught.value.code) == (503, "too_many_streams")
        assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 120
        assert fresh.get("/v1/status").status_code == 200
        seen: list[Any] = []
        http = openai.DefaultHttpxClient(event_hooks={"response": [seen.append]})
        patient = client.with_options(max_retries=5, http_client=http)
        asked = Thread(target=lambda: seen.append(ask(patient, max_tokens=2)))
        asked.start()
        eventually(lambda: seen)
    asked.join(20)
    http.close()
    *refused, accepted, answer = seen
    assert ({response.status_code for response in refused}, accepted.status_code) == ({503}, 200)
    assert answer.choices[0].message.content


def test_a_worker_lost_in_mid_stream_repeats_nothing(fresh: Installation, client: OpenAI) -> None:
    fresh.start("api", "light", "beat")
    fresh.start("mathstral", MATHCODE_SCRIPTED_DELAY_S="0.1")
    with ask(client, stream=True, max_tokens=30) as stream:
        chunks = []
        for chunk in stream:
            chunks.append(chunk)
            if len(chunks) == 6:
                fresh.kill("mathstral")
                fresh.start("mathstral")
    assert texts(chunks) == [fresh.job(jobs_of(fresh)[0])["answer"]["response"]]
    assert chunks[-1].choices[0].finish_reason == "length"


def test_a_version_gone_while_the_job_waited_fails_by_name(fresh: Installation, database: Database) -> None:
    request = GenerationRequest(prompt="Prove it", version="v9", force_task_type=TaskType.MATH)
    job = JobStore(database).insert(
        NewJob(
            request=request,
            route=Route(task_type=TaskType.MATH, confidence=1.0, reasons=()),
            models=(ModelName.MATHSTRAL,),
            waiting=frozenset(),
            deadline_s=60,
            window=4,
        )
    )
    fresh.start("api", "mathstral", "light", "beat")  # the reconciler announces it
    ended = fresh.finished(job.id)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "version_not_served")
    assert "v9" in ended["error"]["message"]
