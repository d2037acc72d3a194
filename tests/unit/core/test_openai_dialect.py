"""OpenAI's dialect: what is served, what is refused by name, and how ended jobs are rendered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.dialects import openai
from core.dialects.openai import CHAT, TEXT
from core.dialects.openai_parameters import ChatParameters
from core.errors import InvalidRequest, ModelNotFound
from core.messages import (
    Priority,
    PromptForm,
    Strategy,
    TaskType,
)

ASK = [{"role": "user", "content": "What is a monad?"}]


def chat(**fields: Any) -> openai.Call:
    return openai.parse(CHAT, json.dumps({"model": "mathcode", "messages": ASK, **fields}).encode())


def text(**fields: Any) -> openai.Call:
    return openai.parse(TEXT, {"model": "codestral", "prompt": "def f(", **fields})


def refused(endpoint: str, body: bytes | dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        openai.parse(endpoint, body)
    assert caught.value.message
    return caught.value


def test_defaults_are_openais() -> None:
    (request,) = chat().requests
    assert (request.prompt, request.form, request.force_task_type) == ("What is a monad?", PromptForm.CHAT, None)
    assert (request.sampling.temperature, request.sampling.top_p) == (1.0, 1.0)
    assert request.sampling.max_tokens is None
    assert text().requests[0].sampling.max_tokens == 16


def test_every_parameter_arrives() -> None:
    call = chat(
        n=3,
        seed=7,
        max_completion_tokens=9,
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=-0.2,
        stop="END",
        logprobs=True,
        top_logprobs=4,
        stream=True,
        stream_options={"include_usage": True},
        top_k=5,
        min_p=0.1,
        repetition_penalty=1.1,
        force_task_type="hybrid",
        strategy="sequential",
        priority="high",
        deadline_s=30,
        user="u",
        metadata={"a": "b"},
    )
    assert (call.n, call.stream, call.include_usage, call.model) == (3, True, True, "mathcode")
    assert [request.sampling.seed for request in call.requests] == [7, 8, 9]
    first = call.requests[0]
    assert (first.strategy, first.priority, first.deadline_s) == (Strategy.SEQUENTIAL, Priority.HIGH, 30.0)
    assert first.force_task_type is TaskType.HYBRID
    assert first.sampling.model_dump(exclude={"seed"}) == {
        "max_tokens": 9,
        "temperature": 0.5,
        "top_k": 5,
        "top_p": 0.9,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.2,
        "stop": ("END",),
        "logprobs": 4,
    }


def test_nulls_and_trivial_values_ask_for_nothing() -> None:
    trivial = {"tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "store": False}
    assert chat(**trivial, audio=None, temperature=None, stop=None, n=None, logit_bias={}) == chat()
    assert text(echo=False, suffix="", best_of=1, logit_bias=None) == text()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"type": "function"}]),
        ("tool_choice", "auto"),
        ("functions", [{}]),
        ("response_format", {"type": "json_object"}),
        ("logit_bias", {"1": 2}),
        ("store", True),
        ("service_tier", "flex"),
        ("modalities", ["text", "audio"]),
        ("reasoning_effort", "high"),
        ("web_search_options", {}),
        ("prediction", {"type": "content"}),
        ("temprature", 1),
        ("unknown", None),
        ("temperature", 3),
        ("temperature", "1"),
        ("n", 9),
        ("n", 0),
        ("n", True),
        ("seed", 2**63),
        ("max_tokens", 0),
        ("top_logprobs", 2),
        ("stream_options", {"include_usage": True}),
        ("messages", []),
        ("messages", "hello"),
        ("metadata", "a"),
        ("deadline_s", -1),
    ],
)
def test_chat_refuses_by_name(name: str, value: object) -> None:
    error = refused(CHAT, {"model": "mathcode", "messages": ASK, name: value})
    assert error.param == name
    assert name in error.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("echo", True),
        ("suffix", "}"),
        ("best_of", 3),
        ("logprobs", 21),
        ("logprobs", True),
        ("prompt", [1, 2]),
        ("prompt", [[1], [2]]),
        ("prompt", []),
        ("prompt", ["a"] * 9),
        ("prompt", " "),
        ("messages", ASK),
        ("max_completion_tokens", 4),
    ],
)
def test_text_refuses_by_name(name: str, value: object) -> None:
    error = refused(TEXT, {"model": "codestral", "prompt": "x", name: value})
    assert error.param is not None
    assert error.param.startswith(name)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "user", "content": ""}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "tool", "content": "x"}], "messages[0].role"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([*ASK, {"role": "assistant", "content": "x"}], "messages[1].role"),
        ([{"role": "assistant", "content": ""}, *ASK], "messages[0].content"),
        ([{"role": "user", "content": "x", "name": "Ada"}], "messages[0].name"),
        ([{"role": "assistant", "content": "x", "tool_calls": [{}]}, *ASK], "messages[0].tool_calls"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": "a\0b"}], "messages[0].content"),
    ],
)
def test_messages_are_refused_where_they_are_wrong(messages: list[Any], param: str) -> None:
    assert refused(CHAT, {"model": "mathcode", "messages": messages}).param == param


def test_a_conversation_becomes_turns_and_a_prompt() -> None:
    returned: dict[str, Any] = {
        "role": "assistant",
        "content": "hi",
        "refusal": None,
        "annotations": [],
        "tool_calls": None,
    }
    (request,) = chat(
        messages=[
            {"role": "user", "content": "one"},
            returned,
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
        ]
    ).requests
    turns = [(turn.role, turn.content) for turn in request.history]
    assert turns == [("system", "Be brief."), ("user", "one"), ("assistant", "hi")]
    assert request.prompt == "two\nthree"


@pytest.mark.parametrize(
    ("model", "task_type", "version"),
    [
        ("mathcode", None, None),
        ("mathstral", TaskType.MATH, None),
        ("codestral@v3", TaskType.CODE, "v3"),
        ("mathstral@a@b", TaskType.MATH, "a@b"),
        ("hybrid", TaskType.HYBRID, None),
    ],
)
def test_models(model: str, task_type: TaskType | None, version: str | None) -> None:
    (request,) = chat(model=model).requests
    assert (request.force_task_type, request.version) == (task_type, version)


@pytest.mark.parametrize("model", ["gpt-4", "hybrid@v1", "mathcode@v1", "codestral@", "Codestral", "@v1"])
def test_other_models_are_not_found(model: str) -> None:
    with pytest.raises(ModelNotFound):
        chat(model=model)


def test_a_model_and_a_task_type_that_disagree_are_refused() -> None:
    assert chat(model="codestral", force_task_type="code").requests[0].force_task_type is TaskType.CODE
    body = {"model": "codestral", "messages": ASK, "force_task_type": "math"}
    assert refused(CHAT, body).param == "force_task_type"
    assert refused(TEXT, {"model": "hybrid", "prompt": "x"}).param == "model"


def test_each_prompt_has_its_choices() -> None:
    call = text(prompt=["a", "b"], n=2, seed=-1)
    assert [request.prompt for request in call.requests] == ["a", "a", "b", "b"]
    assert [request.sampling.seed for request in call.requests] == [2**63 - 1, 0, 2**63 - 1, 0]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":NaN}', b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert refused(CHAT, body).code == "invalid_json"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = [*ChatParameters.model_fields, "tools", "store"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(st.sampled_from([CHAT, TEXT]), st.dictionaries(st.sampled_from([*NAMES, "prompt"]), json_values))
def test_whatever_is_sent_is_a_call_or_a_refusal(endpoint: str, fields: dict[str, Any]) -> None:
    try:
        call = openai.parse(endpoint, {"model": "codestral", "messages": ASK, **fields})
    except InvalidRequest as error:
        assert error.message
    else:
        assert 1 <= len(call.requests) <= 8
