"""A line of a batch: what it must have, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.dialects.batch_lines import LineError, parse_line, render_missing
from core.errors import InvalidRequest
from core.messages import Priority, Strategy

CHAT = "/v1/chat/completions"
BODY = {"model": "mathcode", "messages": [{"role": "user", "content": "What is a monad?"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def parse(line: Any) -> Any:
    content = line if isinstance(line, bytes) else json.dumps(line).encode()
    return parse_line(content, endpoint=CHAT, default_strategy=Strategy.SEQUENTIAL)


def test_a_line_becomes_low_requests_with_the_default_strategy() -> None:
    line = parse({"custom_id": "a", "method": "POST", "url": CHAT, "body": {**BODY, "n": 2, "seed": 1}})
    assert line.custom_id == "a"
    assert [request.priority for request in line.call.requests] == [Priority.LOW] * 2
    assert {request.strategy for request in line.call.requests} == {Strategy.SEQUENTIAL}
    assert [request.sampling.seed for request in line.call.requests] == [1, 2]


@given(content=st.binary(max_size=40))
def test_any_bytes_are_a_line_or_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(content)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    given_=st.dictionaries(st.sampled_from(["custom_id", "method", "url", "body", "x"]), JSON, max_size=5),
    body=st.dictionaries(st.sampled_from([*BODY, "n", "stop", "priority", "stream", "seed"]), JSON, max_size=4),
)
def test_any_json_is_a_line_or_refused_with_a_message(given_: dict[str, Any], body: dict[str, Any]) -> None:
    for line in (given_, {"custom_id": "a", "method": "POST", "url": CHAT, "body": {**BODY, **body}}):
        try:
            parse(line)
        except InvalidRequest as error:
            assert error.message and error.code


def test_a_line_that_was_never_answered_names_why() -> None:
    line = json.loads(
        render_missing("ä\n", id="batch_req_1", error=LineError(code="batch_expired", message="late"))
    )
    assert line == {
        "id": "batch_req_1",
        "custom_id": "ä\n",
        "response": None,
        "error": {"code": "batch_expired", "message": "late"},
    }
