"""The lines of a batch: a request each, in; a response or an error each, out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.dialects import openai
from core.errors import InvalidRequest
from core.jobs import Job
from core.jsonl import one_line
from core.messages import Priority, Strategy

MAX_CUSTOM_ID = 512
_FIELDS = ("custom_id", "method", "url", "body")


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line that is in order; its requests have low priority."""

    custom_id: str
    call: openai.Call


@dataclass(frozen=True, slots=True, kw_only=True)
class LineError:
    """Why a line has no answer of its own: code and message."""

    code: str
    message: str


def parse_line(content: bytes | None, *, endpoint: str, default_strategy: Strategy) -> BatchLine:
    """Read one line; None stands for one that is too long. Raises InvalidRequest naming what to change."""
    if content is None:
        raise InvalidRequest("the line is too long: send less", code="line_too_long")
    given = _read(content)
    custom_id = _custom_id(given)
    if given["method"] != "POST":
        raise InvalidRequest("method must be POST: change it", param="method", code="invalid_method")
    if given["url"] != endpoint:
        problem = f"url must be the batch's endpoint {endpoint}: change one of them"
        raise InvalidRequest(problem, param="url", code="mismatched_endpoint")
    if not isinstance(given["body"], dict):
        raise InvalidRequest("body must be a JSON object: send one", param="body", code="invalid_body")
    call = openai.parse(endpoint, _low(given["body"]), default_strategy=default_strategy)
    if call.stream:
        problem = "stream is not supported in batches: leave it out"
        raise InvalidRequest(problem, param="stream", code="unsupported_parameter")
    return BatchLine(custom_id, call)


def _low(body: dict[str, Any]) -> dict[str, Any]:
    """With the priority of every batch."""
    if body.get("priority") not in (None, Priority.LOW):
        problem = "priority: batches run at low priority: leave it out"
        raise InvalidRequest(problem, param="priority", code="unsupported_parameter")
    return {**body, "priority": Priority.LOW.value}


def render_result(line: BatchLine, *, id: str, jobs: Sequence[Job]) -> tuple[bool, bytes]:
    """Whether its ended jobs have answered the line, and what to write of it."""
    name = jobs[0].id.replace("-", "")
    prefix = "chatcmpl-" if line.call.is_chat else "cmpl-"
    status, body = openai.respond(line.call, prefix + name, jobs)
    response = {"status_code": status, "request_id": f"req_{name}", "body": body}
    return status == 200, _write(id, line.custom_id, response=response)


def render_missing(custom_id: str, *, id: str, error: LineError) -> bytes:
    """A line that was never answered."""
    return _write(id, custom_id, error={"code": error.code, "message": error.message})


def _write(
    id: str, custom_id: str, *, response: Mapping[str, Any] | None = None, error: Mapping[str, str] | None = None
) -> bytes:
    value = {"id": id, "custom_id": custom_id, "response": response, "error": error}
    return one_line(json.dumps(value, ensure_ascii=False)).encode() + b"\n"


def _read(content: bytes) -> dict[str, Any]:
    try:
        given = openai.read_object(content)
    except InvalidRequest as error:
        raise InvalidRequest(error.message.replace("the body", "the line", 1), code="invalid_json_line") from None
    for name in _FIELDS:
        if name not in given:
            raise InvalidRequest(f"{name} is missing: add it", param=name, code=f"missing_{name}")
    for name in given:
        if name not in _FIELDS:
            problem = f"{name[:64]}: there is no such field: leave it out"
            raise InvalidRequest(problem, param=name[:64], code="unknown_field")
    return given


def _custom_id(given: Mapping[str, Any]) -> str:
    custom_id = given["custom_id"]
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        problem = f"custom_id must be a text of 1 to {MAX_CUSTOM_ID} characters: change it"
        raise InvalidRequest(problem, param="custom_id", code="invalid_custom_id")
    return custom_id
