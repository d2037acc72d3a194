"""Laws of our own dialect: what a submission may say about sampling, and what a job shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.formats.native import parse_submission
from core.errors import InvalidRequest
from core.messages import Completion, FinishReason, ModelName, Sampling, Strategy, TokenChance, TokenLogprob


def parsed(**fields: Any) -> Sampling:
    body = json.dumps({"prompt": "x", **fields}).encode()
    return parse_submission(body).to_request(Strategy.PARALLEL).sampling


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("top_k", [1, 50, 1_000_000, None]),
        ("min_p", [0, 0.05, 1, 1.0]),
        ("repetition_penalty", [1e-9, 1, 1.1, 2]),
        ("frequency_penalty", [-2, -0.5, 0, 2.0]),
        ("presence_penalty", [-2, -0.5, 0, 2.0]),
        ("logprobs", [0, 20, None]),
    ],
)
def test_what_is_within_bounds_arrives_as_it_was_given(field: str, values: list[float | None]) -> None:
    for value in values:
        assert getattr(parsed(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("top_k", [0, -1, 1_000_001, 10**30, 1.5, True, "5"]),
        ("min_p", [-0.1, 1.1, "0.1", None, True]),
        ("repetition_penalty", [0, -1.0, 2.1, "1", None]),
        ("frequency_penalty", [-2.1, 2.1, "0", None]),
        ("presence_penalty", [-2.1, 2.1, "0", None]),
        ("logprobs", [-1, 21, True, 1.5, "1"]),
    ],
)
def test_what_is_not_is_refused_by_name(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidRequest) as caught:
            parsed(**{field: value})
        assert (caught.value.param, caught.value.code) == (field, "invalid_field")
        assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["min_p", "repetition_penalty", "frequency_penalty", "presence_penalty"])
def test_what_is_no_number_is_refused(field: str, literal: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_submission(f'{{"prompt": "x", "{field}": {literal}}}'.encode())
    assert caught.value.param == field


def test_by_default_everything_is_off() -> None:
    assert parsed() == Sampling()
    assert not parsed().has_penalties


def test_log_probabilities_are_shown_only_where_there_are_any() -> None:
    plain = Completion(
        model=ModelName.MATHSTRAL,
        version="v1",
        text="x",
        finish_reason=FinishReason.STOP,
        prompt_tokens=1,
        completion_tokens=1,
    )
    chance = TokenChance(token="x", bytes=(120,), logprob=-0.5)
    scored = plain.model_copy(update={"logprobs": (TokenLogprob(**chance.model_dump(), top=(chance,)),)})
    assert "logprobs" not in plain.model_dump(mode="json")
    shown = {"token": "x", "bytes": [120], "logprob": -0.5}
    assert scored.model_dump(mode="json")["logprobs"] == [{**shown, "top": [shown]}]
