"""Which errors have OpenAI's shape."""

from __future__ import annotations

import pytest

from api.error_shapes import is_openai_door, render_error


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models/a/b", "/v1/files", "/v1/chat"])
def test_at_openais_doors_an_error_has_a_type(path: str) -> None:
    error = render_error(path, status=429, code="slow_down", message="later")["error"]
    assert error == {"code": "slow_down", "message": "later", "param": None, "type": "rate_limit_error"}


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/jobs", "/v1/chats", "/v1/jobs/chat", "//v1/chat"])
def test_elsewhere_it_has_ours(path: str) -> None:
    assert not is_openai_door(path)
    assert render_error(path, status=400, code="a", message="b", param="prompt")["error"] == {
        "code": "a",
        "message": "b",
        "param": "prompt",
    }


def test_a_prompt_is_called_by_the_name_that_the_caller_knows() -> None:
    chat, text = (
        render_error(f"/v1/{door}", status=400, code="prompt_too_long", message="m", param="prompt")["error"]
        for door in ("chat/completions", "completions")
    )
    assert (chat["param"], text["param"]) == ("messages", "prompt")
    assert chat["code"] == "context_length_exceeded"
