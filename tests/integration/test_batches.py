"""Files and batches through the real OpenAI client, against a running installation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from tests.harness import Installation, eventually

CHAT = "/v1/chat/completions"
FINAL = {"completed", "failed", "expired", "cancelled"}


@pytest.fixture(scope="module")
def client(running: Installation) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def chat_line(custom_id: str, prompt: str = "Prove it", **fields: Any) -> dict[str, Any]:
    body = {"model": "mathstral", "messages": [{"role": "user", "content": prompt}], "max_tokens": 3, **fields}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}


def jsonl(*lines: Any) -> bytes:
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


def upload(client: OpenAI, content: bytes, name: str = "in.jsonl") -> str:
    return client.files.create(file=(name, content), purpose="batch").id


def begin(client: OpenAI, *lines: Any, **options: Any) -> Batch:
    given = {"completion_window": "24h", "endpoint": CHAT, **options}
    return client.batches.create(input_file_id=upload(client, jsonl(*lines)), **given)


def ended(client: OpenAI, batch: Batch, *, within_s: float = 60) -> Batch:
    return eventually(
        lambda: found if (found := client.batches.retrieve(batch.id)).status in FINAL else None,
        within_s=within_s,
        every_s=0.1,
    )


def results(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    assert file_id is not None
    lines = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    assert len({line["id"] for line in lines}) == len(lines)
    return {line["custom_id"]: line for line in lines}


def test_a_batch_answers_every_line(client: OpenAI, running: Installation) -> None:
    lines = [chat_line(f"line-{number}", f"Solve x = {number}") for number in range(40)]
    batch = begin(client, *lines, metadata={"run": "7"})
    assert batch.status == "validating"
    done = ended(client, batch)
    assert done.status == "completed", done
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 40, "completed": 40, "failed": 0}
    assert (done.error_file_id, done.metadata, done.errors) == (None, {"run": "7"}, None)
    assert done.in_progress_at and done.finalizing_at and done.completed_at and done.expires_at
    assert done.expires_at - done.created_at == 24 * 3600
    found = results(client, done.output_file_id)
    assert set(found) == {line["custom_id"] for line in lines}
    for line in found.values():
        assert (line["error"], line["response"]["status_code"]) == (None, 200)
        body = line["response"]["body"]
        assert (body["object"], body["usage"]["completion_tokens"]) == ("chat.completion", 3)
    job_id = found["line-7"]["response"]["body"]["mathcode"]["jobs"][0]["id"]
    request = running.job(job_id)["request"]
    assert (request["prompt"], request["priority"]) == ("Solve x = 7", "low")
