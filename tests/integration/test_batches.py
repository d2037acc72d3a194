"""Files and batches through the real OpenAI client, against a running installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from tests.harness import ROOT, Installation, eventually

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


def test_a_result_is_one_line_for_every_reader(client: OpenAI) -> None:
    """`str.splitlines` and the client's own `iter_lines` end a line at more than JSON has to escape."""
    names = {"a\r\nX: 1", "\x85", "\u2028", "\u2029", "../../etc", "\0"}
    done = ended(client, begin(client, *(chat_line(name) for name in names)))
    assert done.output_file_id
    assert results(client, done.output_file_id).keys() == names
    lines = [json.loads(line) for line in client.files.content(done.output_file_id).iter_lines()]
    assert {line["custom_id"] for line in lines} == names


def test_choices_of_a_line_are_one_response(client: OpenAI) -> None:
    done = ended(client, begin(client, chat_line("several", n=3, seed=5, temperature=1), chat_line("one")))
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 2, "completed": 2, "failed": 0}
    choices = results(client, done.output_file_id)["several"]["response"]["body"]["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3


def test_text_completions_are_batched_too(client: OpenAI) -> None:
    line = {
        "custom_id": "text", "method": "POST", "url": "/v1/completions",
        "body": {"model": "codestral", "prompt": ["def f(x):", "def g(x):"], "max_tokens": 2},
    }  # fmt: skip
    done = ended(client, begin(client, line, endpoint="/v1/completions", completion_window="1h"))
    body = results(client, done.output_file_id)["text"]["response"]["body"]
    assert (body["object"], len(body["choices"])) == ("text_completion", 2)


def test_what_fails_is_in_the_error_file_and_the_rest_is_answered(client: OpenAI) -> None:
    lines = [chat_line("slow", deadline_s=0.001), *(chat_line(f"{n}") for n in range(5))]
    done = ended(client, begin(client, *lines))
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 6, "completed": 5, "failed": 1}
    assert set(results(client, done.output_file_id)) == {"0", "1", "2", "3", "4"}
    failed = results(client, done.error_file_id)
    assert set(failed) == {"slow"}
    assert failed["slow"]["response"]["status_code"] == 504
    assert failed["slow"]["response"]["body"]["error"]["code"] == "expired"


BAD_LINES: list[tuple[Any, str, str | None]] = [
    (b"{not json", "invalid_json_line", None),
    (b"\xff\xfe", "invalid_json_line", None),
    ([1], "invalid_json_line", None),
    ({**chat_line("get"), "method": "GET"}, "invalid_method", "method"),
    ({**chat_line("other"), "url": "/v1/completions"}, "mismatched_endpoint", "url"),
    ({**chat_line("list"), "body": []}, "invalid_body", "body"),
    ({"method": "POST", "url": CHAT, "body": {}}, "missing_custom_id", "custom_id"),
    ({**chat_line("x"), "custom_id": 7}, "invalid_custom_id", "custom_id"),
    ({**chat_line("more"), "colour": "red"}, "unknown_field", "colour"),
    (chat_line("good"), "duplicate_custom_id", "custom_id"),
    ({**chat_line("nul"), "a\0b": 1}, "unknown_field", "a\N{REPLACEMENT CHARACTER}b"),
    (chat_line("nul", **{"c\0d": 1}), "unknown_parameter", "c\N{REPLACEMENT CHARACTER}d"),
    (chat_line("tools", tools=[{"type": "function"}]), "unsupported_parameter", "tools"),
    (chat_line("hot", temperature=3), "invalid_value", "temperature"),
    (chat_line("stream", stream=True), "unsupported_parameter", "stream"),
    (chat_line("urgent", priority="high"), "unsupported_parameter", "priority"),
    (chat_line("nobody", model="gpt-4"), "model_not_found", "model"),
    (chat_line("pinned", model="codestral@v999"), "model_not_found", "model"),
    (chat_line("long", "word " * 100_000), "prompt_too_long", "prompt"),
]


def test_bad_lines_are_named_and_nothing_is_asked(client: OpenAI, running: Installation) -> None:
    jobs = len(running.get("/v1/jobs", params={"limit": 100}).json()["data"])
    lines = [chat_line("good"), b"", *(line for line, _, _ in BAD_LINES), chat_line("fine")]
    done = ended(client, begin(client, *lines))
    assert done.status == "failed"
    assert done.failed_at
    assert (done.output_file_id, done.error_file_id) == (None, None)
    assert done.errors is not None and done.errors.data is not None
    found = [(error.line, error.code, error.param) for error in done.errors.data]
    assert found == [(number + 3, code, param) for number, (_, code, param) in enumerate(BAD_LINES)]
    assert all(error.message for error in done.errors.data)
    assert len(running.get("/v1/jobs", params={"limit": 100}).json()["data"]) == jobs


def test_at_most_a_hundred_bad_lines_are_listed(client: OpenAI) -> None:
    done = ended(client, begin(client, *[b"nonsense"] * 300))
    assert done.errors is not None and done.errors.data is not None
    assert [error.line for error in done.errors.data] == list(range(1, 101))


def test_a_line_that_is_too_long_is_named(client: OpenAI) -> None:
    done = ended(client, begin(client, chat_line("first"), b"x" * 3_000_000, chat_line("last")))
    assert done.errors is not None and done.errors.data is not None
    assert [(error.line, error.code) for error in done.errors.data] == [(2, "line_too_long")]


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "48h"}, "completion_window"),
        ({"completion_window": "soon"}, "completion_window"),
        ({"metadata": {"name": "x" * 513}}, "metadata"),
        ({"metadata": {"name": 7}}, "metadata.name"),
        ({"input_file_id": "../../etc/passwd"}, "input_file_id"),
        ({"input_file_id": f"file-{'0' * 32}"}, "input_file_id"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after.seconds"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_by_name(
    client: OpenAI, running: Installation, changed: dict[str, Any], param: str
) -> None:
    body = {"input_file_id": upload(client, b"x\n"), "endpoint": CHAT, "completion_window": "24h", **changed}
    response = running.post("/v1/batches", body)
    assert response.status_code in (400, 404), response.text
    assert response.json()["error"]["param"] == param


def test_output_is_no_input_and_expires_when_asked(client: OpenAI) -> None:
    kept = {"anchor": "created_at", "seconds": 7200}
    done = ended(client, begin(client, chat_line("a"), output_expires_after=kept))
    assert done.output_file_id
    output = client.files.retrieve(done.output_file_id)
    assert (output.purpose, output.expires_at) == ("batch_output", output.created_at + 7200)
    assert output.filename == f"{done.id}_output.jsonl"
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id=output.id, endpoint=CHAT, completion_window="24h")


def test_pages_list_every_batch_once_newest_first(client: OpenAI, running: Installation) -> None:
    made = [begin(client, chat_line("a"), completion_window="1h").id for _ in range(5)]
    seen = [batch.id for batch in client.batches.list(limit=2)]
    assert len(seen) == len(set(seen))
    assert [batch_id for batch_id in seen if batch_id in made] == made[::-1]
    page = running.get("/v1/batches", params={"limit": 2}).json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == (seen[0], seen[1], True)
    for bad in ({"limit": 0}, {"limit": 101}, {"colour": "red"}):
        assert running.get("/v1/batches", params=bad).status_code == 400


@pytest.mark.parametrize("batch_id", ["batch_0", f"batch_{'0' * 32}", "'; DROP TABLE batch", "batch_%00"])
def test_an_id_that_is_none_is_not_found(client: OpenAI, batch_id: str) -> None:
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError) as caught:
            call(batch_id)
        assert caught.value.code == "batch_not_found"


def test_a_batch_that_has_ended_is_not_cancelled(client: OpenAI) -> None:
    done = ended(client, begin(client, chat_line("a")))
    with pytest.raises(openai.ConflictError) as caught:
        client.batches.cancel(done.id)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert client.batches.retrieve(done.id).status == "completed"


def test_the_example_answers_its_prompts(running: Installation) -> None:
    finished = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "batch.py"), f"{running.url}/v1"],
        env={**os.environ, "OPENAI_API_KEY": "unused"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    assert {line.partition(":")[0] for line in finished.stdout.splitlines()} >= {
        "prompt-0",
        "prompt-1",
        "prompt-2",
    }
