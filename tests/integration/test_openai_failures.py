"""OpenAI's client while things fail: lost workers, full servers, long queues, callers that hang up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
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
from tests.harness import Installation, eventually

ASK: list[Any] = [{"role": "user", "content": "Prove it"}]


@pytest.fixture
def client(fresh: Installation) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{fresh.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(model="mathstral", messages=ASK, **fields)


def newest_job(installation: Installation) -> str | None:
    jobs = installation.get("/v1/jobs", params={"limit": 1}).json()["data"]
    return str(jobs[0]["id"]) if jobs else None


def text(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


class Asked(Thread):
    """A call that is answered, or refused, while the test does something else."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.answer: Any = None
        self.error: openai.APIError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._call()
        except openai.APIError as error:
            self.error = error


def test_the_client_waits_out_a_full_server(fresh: Installation, client: OpenAI) -> None:
    fresh.start("api", "mathstral", MATHCODE_API_THREADS="2", MATHCODE_SCRIPTED_DELAY_S="0.05")
    patient = client.with_options(max_retries=5)
    with ask(client, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client)
        assert (caught.value.status_code, caught.value.code) == (503, "too_many_streams")
        assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 120
        asked = Asked(lambda: ask(patient, max_tokens=2))
        assert fresh.get("/v1/status").status_code == 200
    asked.join(20)
    assert asked.answer.choices[0].message.content


def test_a_call_that_outlasts_the_wait_keeps_its_answer(fresh: Installation, client: OpenAI) -> None:
    fresh.start("api", MATHCODE_CALL_WAIT_S="0.5")
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client.with_options(max_retries=2), max_tokens=3)
    assert (caught.value.status_code, caught.value.code) == (504, "still_running")
    job_id = newest_job(fresh)
    assert job_id is not None
    assert f"/v1/jobs/{job_id}" in caught.value.message
    assert len(fresh.get("/v1/jobs").json()["data"]) == 1  # it was not asked again
    fresh.start("mathstral")
    assert fresh.finished(job_id)["answer"]["response"]


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_cancels(fresh: Installation, client: OpenAI, stream: bool) -> None:
    fresh.start("api")
    with pytest.raises(openai.APITimeoutError):
        for _ in ask(client.with_options(timeout=0.5), stream=stream):
            pass
    job_id = newest_job(fresh)
    assert job_id is not None
    assert fresh.finished(job_id, within_s=10)["status"] == "cancelled"


def test_closing_a_stream_cancels_every_choice(fresh: Installation, client: OpenAI) -> None:
    fresh.start("api", "mathstral", MATHCODE_SCRIPTED_DELAY_S="0.2")
    with ask(client, stream=True, n=2) as stream:
        seen = [choice.index for _, chunk in zip(range(8), stream, strict=False) for choice in chunk.choices]
    assert set(seen[2:]) == {0, 1}  # neither waits for the other to end
    jobs = fresh.get("/v1/jobs").json()["data"]
    assert [fresh.finished(job["id"], within_s=10)["status"] for job in jobs] == ["cancelled"] * 2


def test_a_worker_lost_in_mid_stream_repeats_nothing(fresh: Installation, client: OpenAI) -> None:
    slow = {"MATHCODE_SCRIPTED_DELAY_S": "0.1"}
    fresh.start("api", "light", "beat")
    fresh.start("mathstral", **slow)
    with ask(client, stream=True, max_tokens=30) as stream:
        chunks = []
        for chunk in stream:
            chunks.append(chunk)
            if len(chunks) == 6:
                fresh.kill("mathstral")
                fresh.start("mathstral")
    job_id = newest_job(fresh)
    assert job_id is not None
    assert text(chunks) == fresh.job(job_id)["answer"]["response"]
    assert chunks[-1].choices[0].finish_reason == "length"


def test_text_that_begins_again_otherwise_ends_the_stream(
    fresh: Installation, client: OpenAI, urls: ServerUrls
) -> None:
    fresh.start("api")

    def read() -> list[Any]:
        with ask(client, stream=True) as stream:
            return list(stream)

    with closing(EventLog.connect(urls.redis_url)) as events:
        follower = Asked(read)
        job_id = eventually(lambda: newest_job(fresh))
        events.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=1, text="One two"))
        events.append(job_id, Restarted(model=ModelName.MATHSTRAL, attempt=2))
        events.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=2, text="One t"))
        events.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=2, text="hree"))
        follower.join(10)
    assert isinstance(follower.error, openai.APIError)
    assert follower.error.code == "stream_broken"
    assert fresh.finished(job_id, within_s=10)["status"] == "cancelled"


def test_jobs_that_end_without_an_answer_are_errors(fresh: Installation, client: OpenAI) -> None:
    fresh.start("api", "mathstral", MATHCODE_SCRIPTED_DELAY_S="0.5")
    patient = client.with_options(max_retries=3)
    with pytest.raises(openai.InternalServerError) as expired:
        ask(patient, extra_body={"deadline_s": 0.7})
    assert (expired.value.status_code, expired.value.code) == (504, "expired")
    asked = Asked(lambda: ask(patient))
    eventually(lambda: fresh.get("/v1/jobs", params={"status": "running"}).json()["data"])
    fresh.post(f"/v1/jobs/{newest_job(fresh)}/cancel")
    asked.join(10)
    assert isinstance(asked.error, openai.ConflictError)
    assert asked.error.code == "cancelled"
    assert len(fresh.get("/v1/jobs").json()["data"]) == 2  # nothing was asked again
    with (
        pytest.raises(openai.APIError) as late,
        ask(client, stream=True, extra_body={"deadline_s": 1.5}) as stream,
    ):
        list(stream)
    assert late.value.code == "expired"


def test_a_version_gone_while_the_job_waited_fails_by_name(
    fresh: Installation, client: OpenAI, database: Database, urls: ServerUrls
) -> None:
    request = GenerationRequest(prompt="Prove it", version="v9", force_task_type=TaskType.MATH)
    route = Route(task_type=TaskType.MATH, confidence=1.0, reasons=())
    job = JobStore(database).insert(
        NewJob(
            request=request,
            route=route,
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


def test_an_answer_without_events_comes_from_the_ledger(
    fresh: Installation, client: OpenAI, database: Database
) -> None:
    fresh.start("api")
    asked = Asked(lambda: text(list(ask(client, stream=True))))
    job_id = eventually(lambda: newest_job(fresh))
    completion = Completion(
        model=ModelName.MATHSTRAL,
        version="m",
        text="42",
        finish_reason=FinishReason.STOP,
        prompt_tokens=1,
        completion_tokens=1,
    )
    answer = Answer(response="42", model_used="m", completions=(completion,))
    JobStore(database).close(job_id, Verdict(state=JobState.SUCCEEDED, answer=answer))
    asked.join(10)
    assert asked.answer == "42"


def test_errors_before_a_stream_are_http_errors(fresh: Installation) -> None:
    fresh.start("api", "mathstral", MATHCODE_CONTEXT_TOKENS="64")
    body = {"model": "mathstral", "messages": ASK, "stream": True, "max_tokens": 65}
    response = fresh.post("/v1/chat/completions", body)
    assert response.status_code == 400
    assert json.loads(response.content)["error"]["code"] == "context_length_exceeded"
