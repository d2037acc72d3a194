"""Every bad input gets one clear JSON error with a stable code, and nothing is enqueued."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from tests.harness import Installation
from tests.raw_http import check_shape

UNKNOWN = "01890000-0000-7000-8000-000000000000"


def _jobs(running: Installation) -> list[str]:
    return [job["id"] for job in running.get("/v1/jobs", params={"limit": 100}).json()["data"]]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"not json", "invalid_json", None),
        (b'{"prompt": "x"', "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
        (b'"prompt"', "invalid_body", None),
        (b"[]", "invalid_body", None),
        (b"{}", "missing_field", "prompt"),
        (b'{"prompt": 7}', "invalid_field", "prompt"),
        (b'{"prompt": null}', "invalid_field", "prompt"),
        (b'{"prompt": ""}', "invalid_field", "prompt"),
        (b'{"prompt": " \\n\\t\xe2\x80\x83"}', "invalid_field", "prompt"),
        (b'{"prompt": "a\\u0000b"}', "invalid_field", "prompt"),
        (b'{"prompt": "a\\ud800b"}', "invalid_json", None),
        (b'{"prompt": "x", "tempature": 1}', "unknown_field", "tempature"),
        (b'{"prompt": "x", "temperature": 2.1}', "invalid_field", "temperature"),
        (b'{"prompt": "x", "temperature": -0.1}', "invalid_field", "temperature"),
        (b'{"prompt": "x", "temperature": NaN}', "invalid_field", "temperature"),
        (b'{"prompt": "x", "temperature": "0.5"}', "invalid_field", "temperature"),
        (b'{"prompt": "x", "top_p": 0}', "invalid_field", "top_p"),
        (b'{"prompt": "x", "top_k": 0}', "invalid_field", "top_k"),
        (b'{"prompt": "x", "logprobs": 21}', "invalid_field", "logprobs"),
        (b'{"prompt": "x", "max_tokens": 0}', "invalid_field", "max_tokens"),
        (b'{"prompt": "x", "max_tokens": 1.5}', "invalid_field", "max_tokens"),
        (b'{"prompt": "x", "max_tokens": true}', "invalid_field", "max_tokens"),
        (b'{"prompt": "x", "max_tokens": 99999999999}', "invalid_field", "max_tokens"),
        (b'{"prompt": "x", "seed": -1}', "invalid_field", "seed"),
        (b'{"prompt": "x", "seed": 9223372036854775808}', "invalid_field", "seed"),
        (b'{"prompt": "x", "stop": [""]}', "invalid_field", "stop.0"),
        (b'{"prompt": "x", "stop": ["a\\u0000"]}', "invalid_field", "stop.0"),
        (b'{"prompt": "x", "force_task_type": "poetry"}', "invalid_field", "force_task_type"),
        (b'{"prompt": "x", "strategy": "both"}', "invalid_field", "strategy"),
        (b'{"prompt": "x", "priority": "urgent"}', "invalid_field", "priority"),
        (b'{"prompt": "x", "deadline_s": 0}', "invalid_field", "deadline_s"),
    ],
)
def test_a_bad_body_is_refused_by_name(running: Installation, body: bytes, code: str, param: str | None) -> None:
    before = _jobs(running)
    response = requests.post(f"{running.url}/v1/jobs", data=body, timeout=10)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, code, param)
    assert error["message"]
    assert _jobs(running) == before


def test_a_prompt_beyond_the_context_names_both_token_counts(running: Installation) -> None:
    before = _jobs(running)
    response = running.post("/v1/jobs", {"prompt": "prove " * 5000, "force_task_type": "math"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "prompt_too_long", "prompt")
    assert "4096" in error["message"]
    assert any(5000 <= int(word) < 5100 for word in error["message"].split() if word.isdigit())
    assert _jobs(running) == before


def test_max_tokens_beyond_the_context_is_refused(running: Installation) -> None:
    response = running.post("/v1/jobs", {"prompt": "Solve x = 1", "max_tokens": 4096, "force_task_type": "math"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "prompt_too_long")


def test_a_body_over_the_limit_is_refused(running: Installation) -> None:
    response = running.post("/v1/jobs", {"prompt": "x" * 2_000_000})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "job_id", [UNKNOWN, "1", "%20", "..%2f..", "x" * 500, "01890000-0000-7000-8000-00000000000"]
)
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel")])
def test_an_unknown_or_malformed_id_is_not_found(
    running: Installation, job_id: str, method: str, suffix: str
) -> None:
    response = requests.request(method, f"{running.url}/v1/jobs/{job_id}{suffix}", timeout=10)
    assert response.status_code == 404
    assert response.json()["error"]["code"] in {"job_not_found", "not_found"}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "status=lost", "cursor=1", "after=nonsense", "after=%00"]
)
def test_a_bad_query_is_refused(running: Installation, query: str) -> None:
    response = running.get(f"/v1/jobs?{query}")
    assert response.status_code in {400, 404}
    assert response.json()["error"]["code"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/files", "/v1/batches"])
def test_a_page_after_what_is_no_id_is_refused_by_the_name_that_was_sent(running: Installation, path: str) -> None:
    response = running.get(path, params={"after": "nonsense"})
    assert (response.status_code, response.json()["error"]["param"]) == (404, "after")
    assert running.get(path, params={"after": "nonsense\r\nX: 1"}).status_code == 404


def test_a_bad_event_id_is_refused(running: Installation) -> None:
    job_id = running.submit("Solve x = 1", max_tokens=1)
    response = running.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "x; DROP"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "Last-Event-ID")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/v1/jobs", 405, "method_not_allowed")],
)
def test_unknown_routes_and_methods_answer_in_json(
    running: Installation, method: str, path: str, status: int, code: str
) -> None:
    response = requests.request(method, f"{running.url}{path}", timeout=10)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_every_route_has_one_shape_for_its_errors(running: Installation) -> None:
    """Asked by a method that it has not, about things that are not there, and with a body that is no JSON.

    What changes versions or trainings is the operator's: for others it is refused before it is read.
    """
    asked = 0
    for path, operations in running.get("/openapi.json").json()["paths"].items():
        target = re.sub(r"{\w+}", "x", path.replace("{run_id}", "999999").replace("{number}", "999999"))
        attempts = [("PATCH", b"", {405})]
        posted = {403} if path.startswith(("/v1/versions/", "/v1/training")) else {400, 404}
        absent = {"post": posted}
        attempts += [(each.upper(), b"", absent.get(each, {404})) for each in operations if target != path]
        attempts += [("POST", b"{", posted)] * ("post" in operations)
        for method, body, statuses in attempts:
            response = requests.request(method, f"{running.url}{target}", data=body, timeout=10)
            assert response.status_code in statuses, (method, target, response.text)
            check_shape(response.content, target)
            assert response.headers["Content-Type"] == "application/json", (method, target)
            assert response.headers["x-request-id"], (method, target)
            asked += 1
    assert asked >= 40


def test_any_text_that_json_can_carry_is_accepted_and_stored_as_it_is(running: Installation) -> None:
    prompt: Any = "solve \\u0041 </s>[INST] \x7f \u200f 数学 🧮 ' ; -- %s {}"
    job = running.ask(prompt, max_tokens=1, stop="\\")
    assert job["request"]["prompt"] == prompt
    assert json.loads(json.dumps(job)) == job
