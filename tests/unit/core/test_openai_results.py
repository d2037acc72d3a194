"""Ended jobs as OpenAI's responses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.dialects import openai
from core.dialects.openai import CHAT, TEXT
from core.jobs import Job
from core.messages import (
    Answer,
    Completion,
    Failure,
    FailureCode,
    FinishReason,
    JobState,
    ModelName,
    Route,
    TaskType,
    TokenChance,
    TokenLogprob,
)


def chat(**fields: Any) -> openai.Call:
    return openai.parse(CHAT, {"model": "mathcode", "messages": [{"role": "user", "content": "Why?"}], **fields})


def text() -> openai.Call:
    return openai.parse(TEXT, {"model": "codestral", "prompt": "def f("})


def job(*completions: Completion, response: str | None = None, **fields: Any) -> Job:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    answer = Answer(
        response=response if response is not None else completions[0].text,
        model_used=" + ".join(completion.version for completion in completions),
        completions=completions,
    )
    request = chat().requests[0]
    route = Route(task_type=TaskType.MATH, confidence=1.0, reasons=())
    given = {"state": JobState.SUCCEEDED, "answer": answer, "id": "0", **fields}
    return Job(request=request, route=route, created_at=moment, deadline_at=moment, **given)


def completion(said: str = "42", **fields: Any) -> Completion:
    given = {
        "model": ModelName.MATHSTRAL,
        "version": "m-1",
        "finish_reason": FinishReason.STOP,
        "prompt_tokens": 5,
        "completion_tokens": 2,
        **fields,
    }
    return Completion(text=said, **given)


def test_a_chat_completion_has_every_field() -> None:
    jobs = [job(completion("a")), job(completion("b", finish_reason=FinishReason.LENGTH))]
    body = openai.render(chat(n=2, model="mathstral"), "chatcmpl-1", jobs)
    assert (body["id"], body["object"], body["model"]) == ("chatcmpl-1", "chat.completion", "mathstral")
    assert body["created"] == 1767312000
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "b"]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    assert body["system_fingerprint"] == "m-1"


def test_logprobs_have_both_shapes() -> None:
    entries = (
        TokenLogprob(token=" naïve", bytes=tuple(" naïve".encode()), logprob=-0.5),
        TokenLogprob(
            token="\N{REPLACEMENT CHARACTER}",
            bytes=(0xC3,),
            logprob=-1.0,
            top=(TokenChance(token="x", bytes=(120,), logprob=-2.0),),
        ),
        TokenLogprob(token="\N{REPLACEMENT CHARACTER}", bytes=(0xA9,), logprob=-0.1),
        TokenLogprob(token="!", bytes=(33,), logprob=-0.2),
    )
    done = job(completion("naïveé!", logprobs=entries))
    chosen = openai.render(chat(), "x", [done])["choices"][0]["logprobs"]["content"]
    assert [entry["bytes"] for entry in chosen[1:3]] == [[0xC3], [0xA9]]
    assert chosen[1]["top_logprobs"] == [{"token": "x", "logprob": -2.0, "bytes": [120]}]
    legacy = openai.render(text(), "x", [done])["choices"][0]["logprobs"]
    assert legacy["tokens"] == [" naïve", "bytes:\\xc3", "bytes:\\xa9", "!"]
    assert legacy["text_offset"] == [0, 5, 6, 6]
    assert legacy["top_logprobs"][1] == {"x": -2.0}


@pytest.mark.parametrize("code", list(FailureCode))
def test_every_failure_is_an_error(code: FailureCode) -> None:
    failure = Failure(model=ModelName.MATHSTRAL, code=code, message="no")
    ended = job(completion(), state=JobState.FAILED, error=failure, answer=None)
    status, body = openai.respond(chat(), "x", [job(completion()), ended])
    assert status >= 400
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["code"]
