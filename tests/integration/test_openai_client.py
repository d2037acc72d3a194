"""The real OpenAI client against a running installation: what it asks, and what it gets typed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import requests
from openai import AsyncOpenAI, OpenAI

from tests.harness import ROOT, Installation
from tests.openai_calls import MATH_PROMPT, ask, client_of, job_ids, texts

HYBRID_PROMPT = "Implement a numerical gradient descent algorithm with mathematical proof"


@pytest.fixture(scope="module")
def client(running: Installation) -> Iterator[OpenAI]:
    with client_of(running) as made:
        yield made


@pytest.mark.parametrize(
    ("model", "prompt", "version"),
    [
        ("mathcode", MATH_PROMPT, "mathstral-scripted"),
        ("mathstral", "Write a loop in Python", "mathstral-scripted"),
        ("codestral", MATH_PROMPT, "codestral-scripted"),
        ("hybrid", MATH_PROMPT, "mathstral-scripted + codestral-scripted"),
        ("codestral@codestral-scripted", MATH_PROMPT, "codestral-scripted"),
    ],
)
def test_every_model_answers_with_the_text_of_its_job(
    client: OpenAI, running: Installation, model: str, prompt: str, version: str
) -> None:
    response = ask(client, prompt, model)
    (job_id,) = job_ids(response)
    answer = running.job(job_id)["answer"]
    (choice,) = response.choices
    assert (choice.message.role, choice.message.content) == ("assistant", answer["response"])
    assert (response.model, response.system_fingerprint, choice.finish_reason) == (model, version, "length")
    assert response.id == f"chatcmpl-{job_id.replace('-', '')}"
    assert response.usage.completion_tokens == sum(c["completion_tokens"] for c in answer["completions"])
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens


def test_a_conversation_reaches_the_model_whole(client: OpenAI, running: Installation) -> None:
    first = ask(client, "Prove it")
    follow_up: list[Any] = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Prove it"},
        first.choices[0].message,
        {"role": "user", "content": [{"type": "text", "text": "Shorter"}]},
    ]
    response: Any = client.chat.completions.create(model="mathstral", messages=follow_up, max_tokens=4)
    request = running.job(job_ids(response)[0])["request"]
    assert [turn["role"] for turn in request["history"]] == ["system", "user", "assistant"]
    assert request["history"][2]["content"] == first.choices[0].message.content
    assert response.usage.prompt_tokens > first.usage.prompt_tokens + 10


def test_choices_have_seeds_of_their_own_and_repeat(client: OpenAI) -> None:
    several = ask(client, n=3, seed=5, temperature=1)
    said = [choice.message.content for choice in several.choices]
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    assert len(set(said)) == 3
    assert ask(client, seed=6, temperature=1).choices[0].message.content == said[1]
    assert several.usage.prompt_tokens == ask(client).usage.prompt_tokens
    assert several.usage.completion_tokens == 36


def test_stop_ends_with_stop(client: OpenAI) -> None:
    whole = ask(client).choices[0].message.content
    word = whole.split()[3]
    cut = ask(client, stop=[f" {word}"]).choices[0]
    assert (cut.finish_reason, cut.message.content) == ("stop", whole.partition(f" {word}")[0])


def test_logprobs_are_typed(client: OpenAI) -> None:
    response = ask(client, logprobs=True, top_logprobs=2, max_completion_tokens=4)
    content = response.choices[0].logprobs.content
    assert [len(token.top_logprobs) for token in content] == [2] * 4
    spoken = b"".join(bytes(token.bytes) for token in content).decode(errors="replace")
    assert spoken.strip() == response.choices[0].message.content.strip()
    assert ask(client).choices[0].logprobs is None


def test_text_is_continued(client: OpenAI, running: Installation) -> None:
    response: Any = client.completions.create(
        model="codestral", prompt=["def f(x):", "def g(x):"], n=2, logprobs=1, temperature=0
    )
    assert [choice.index for choice in response.choices] == [0, 1, 2, 3]
    assert response.choices[0].text == response.choices[1].text != response.choices[2].text
    assert response.usage.completion_tokens == 4 * 16
    logprobs = response.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.text_offset) == len(logprobs.top_logprobs) == 16
    request = running.job(job_ids(response)[0])["request"]
    assert (request["form"], request["prompt"]) == ("text", "def f(x):")


def test_a_stream_says_what_a_call_says(client: OpenAI) -> None:
    whole = ask(client, max_completion_tokens=40)
    with ask(client, max_completion_tokens=40, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    assert texts(chunks) == [whole.choices[0].message.content]
    assert len({chunk.id for chunk in chunks}) == 1
    assert (chunks[0].choices[0].delta.role, chunks[0].object) == ("assistant", "chat.completion.chunk")
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1] if chunk.choices[0].finish_reason] == [
        "length"
    ]
    last = chunks[-2].choices[0]
    assert (last.finish_reason, last.delta.content) == ("length", None)
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_choices_are_streamed_by_index(client: OpenAI) -> None:
    whole = ask(client, n=3, seed=1, temperature=1)
    with ask(client, n=3, seed=1, temperature=1, stream=True) as stream:
        chunks = list(stream)
    assert texts(chunks, 3) == [choice.message.content for choice in whole.choices]
    ends = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert sorted(ends) == [0, 1, 2]
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_hybrid_stream_is_the_merged_answer(client: OpenAI) -> None:
    whole = ask(client, HYBRID_PROMPT)
    assert whole.mathcode["jobs"][0]["task_type"] == "hybrid"
    with ask(client, HYBRID_PROMPT, stream=True) as stream:
        assert texts(list(stream)) == [whole.choices[0].message.content]


def test_streamed_logprobs_cover_every_token_once(client: OpenAI) -> None:
    with ask(client, logprobs=True, stream=True) as stream:
        chunks = list(stream)
    scored = [token for chunk in chunks if (scores := chunk.choices[0].logprobs) for token in scores.content or []]
    assert len(scored) == 12


def test_text_is_streamed(client: OpenAI) -> None:
    whole = client.completions.create(model="mathstral", prompt="1, 2,", temperature=0)
    with client.completions.create(model="mathstral", prompt="1, 2,", temperature=0, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_raw_stream_ends_with_done(running: Installation) -> None:
    body = {"model": "mathstral", "messages": [{"role": "user", "content": "Prove it"}], "stream": True}
    with running.post("/v1/chat/completions", body, stream=True) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["x-request-id"] and response.headers["X-Accel-Buffering"] == "no"
        events = [event for event in response.text.split("\n\n") if not event.startswith(":")]
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: {") for event in events[:-2])


def test_models_are_the_four_and_what_is_served(client: OpenAI) -> None:
    models = list(client.models.list())
    assert [model.id for model in models] == [
        "mathcode",
        "mathstral",
        "codestral",
        "hybrid",
        "codestral@codestral-scripted",
        "mathstral@mathstral-scripted",
    ]
    assert all(model.object == "model" and model.created > 0 and model.owned_by for model in models)
    assert client.models.retrieve(models[-1].id) == models[-1]
    for name in ("gpt-4", "codestral@v9", "a/b"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(name)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_version_that_nobody_serves_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="codestral@v9")
    assert caught.value.code == "model_not_found"
    assert "codestral@v9" in caught.value.message


def test_what_is_not_supported_is_refused_by_name(client: OpenAI, running: Installation) -> None:
    before = running.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, tools=[{"type": "function", "function": {"name": "f"}}])
    assert (caught.value.param, caught.value.code, caught.value.type) == (
        "tools",
        "unsupported_parameter",
        "invalid_request_error",
    )
    assert running.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"] == before


def test_a_prompt_beyond_the_context_says_so(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "prove " * 5000)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/chat/completions", b"", 405),
        ("POST", "/v1/embeddings", b"{}", 404),
        ("POST", "/v1/chat/nonsense", b"{}", 404),
        ("POST", "/v1/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"x" * 1_500_000, 413),
        ("POST", "/v1/chat/completions", b"x" * 20_000_000, 413),
    ],
)
def test_what_the_server_refuses_has_openais_shape(
    running: Installation, method: str, path: str, body: bytes, status: int
) -> None:
    response = requests.request(method, f"{running.url}{path}", data=body, timeout=10)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("header", ["Content-Length: x", "Transfer-Encoding: nonsense"])
def test_malformed_http_has_openais_shape(running: Installation, header: str) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert int(head.split()[1]) >= 400 and b"\r\nX-Request-Id: req_" in head
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def test_extensions_reach_the_job(client: OpenAI, running: Installation) -> None:
    extra = {"force_task_type": "math", "priority": "high", "deadline_s": 60, "top_k": 3, "min_p": 0.1}
    request = running.job(job_ids(ask(client, extra_body=extra))[0])["request"]
    assert (request["force_task_type"], request["priority"], request["deadline_s"]) == ("math", "high", 60.0)
    assert (request["sampling"]["top_k"], request["sampling"]["min_p"]) == (3, 0.1)


def test_raw_responses_name_the_request(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="mathcode", messages=[{"role": "user", "content": "Prove it"}], max_tokens=2
    )
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse().choices[0].message.content


def test_the_asynchronous_client_asks_many_at_once(running: Installation) -> None:
    async def gather() -> list[str]:
        async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="unused") as client:

            async def one(number: int) -> str:
                stream = await client.chat.completions.create(
                    model="mathstral",
                    messages=[{"role": "user", "content": f"calculate {number}"}],
                    max_tokens=4,
                    stream=True,
                )
                async with stream:
                    return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

            return await asyncio.gather(*(one(number) for number in range(12)))

    assert all(asyncio.run(gather()))


def run_example(example: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"examples/{example}", url],
        cwd=ROOT,
        env={**os.environ, "OPENAI_API_KEY": "unused"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_examples_print_answers(running: Installation) -> None:
    chat, stream = (run_example(f"openai_{name}.py", f"{running.url}/v1") for name in ("chat", "stream"))
    assert (chat.returncode, stream.returncode) == (0, 0), chat.stderr + stream.stderr
    assert chat.stdout.count("> ") == 2
    assert "[mathstral-scripted]" in chat.stdout
    assert stream.stdout.endswith("\n[64 tokens]\n")
    newest = running.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"]
    answer = running.job(newest)["answer"]["response"]
    assert stream.stdout.startswith(answer)


def test_an_example_says_what_went_wrong(running: Installation) -> None:
    refused = run_example("openai_chat.py", f"{running.url}/v2")
    assert refused.returncode == 1
    assert "404" in refused.stderr
