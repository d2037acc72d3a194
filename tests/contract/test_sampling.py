"""Laws of how tokens are drawn and scored, over every engine: both tiny models and the scripted one."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from core.messages import MAX_LOGPROBS, TokenLogprob
from ensemble.engine.engine import ModelEngine
from tasks.ports import Engine
from tests.contract.asking import complete, work

PENALTIES: list[dict[str, float]] = [
    {"repetition_penalty": 1.9},
    {"frequency_penalty": 2.0},
    {"presence_penalty": 2.0},
    {"frequency_penalty": -2.0},
    {"repetition_penalty": 1.3, "frequency_penalty": 0.5, "presence_penalty": 0.5},
]
MIXED: list[dict[str, float]] = [
    {},
    {"temperature": 1.0, "seed": 3},
    {"temperature": 1.0, "seed": 3, "top_k": 20},
    {"temperature": 1.0, "seed": 3, "top_k": 200, "top_p": 0.9},
    {"temperature": 1.5, "seed": 3, "min_p": 0.05},
    {"temperature": 1.0, "seed": 3, "top_k": 50, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.2},
    *PENALTIES,
]


def text(engine: Engine, prompt: str = "Solve it", **sampling: Any) -> str:
    return complete(engine, work(prompt, **sampling)).text


def entries(engine: Engine, **sampling: Any) -> tuple[TokenLogprob, ...]:
    completion = complete(engine, work(**sampling))
    assert completion.logprobs is not None
    assert len(completion.logprobs) == completion.completion_tokens
    return completion.logprobs


@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0, 2.0])
@pytest.mark.parametrize("single", [{"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}], ids=str)
def test_keeping_one_token_is_greedy_at_any_temperature(
    engine: ModelEngine[Any], temperature: float, single: dict[str, float]
) -> None:
    assert text(engine, max_tokens=12, temperature=temperature, **single) == text(engine, max_tokens=12)


def test_keeping_fewer_tokens_makes_the_text_more_probable(engine: ModelEngine[Any]) -> None:
    def mean(**kept: float) -> float:
        drawn = entries(engine, max_tokens=40, temperature=2.0, seed=1, logprobs=0, **kept)
        return sum(entry.logprob for entry in drawn) / len(drawn)

    assert mean() < min(mean(top_k=2), mean(top_p=0.2), mean(min_p=0.5))


@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
def test_penalties_change_greedy_text_and_always_in_the_same_way(
    engine: ModelEngine[Any], penalties: dict[str, float]
) -> None:
    plain, first, second = (text(engine, max_tokens=60, **given) for given in ({}, penalties, penalties))
    assert plain != first == second


def test_what_is_penalised_comes_less_often_and_what_is_favoured_more(engine: ModelEngine[Any]) -> None:
    def variety(**penalties: float) -> int:
        drawn = entries(engine, max_tokens=80, logprobs=0, **penalties)
        return len({(entry.token, entry.bytes) for entry in drawn})

    assert variety(frequency_penalty=-2.0) < variety() < variety(frequency_penalty=2.0)
    assert variety(presence_penalty=-2.0) < variety() < variety(presence_penalty=2.0)


def test_penalties_do_not_remember_who_had_the_slot_before(single_slot: ModelEngine[Any]) -> None:
    asked = {"max_tokens": 30, "repetition_penalty": 1.5, "frequency_penalty": 1.0}
    first = text(single_slot, **asked)
    text(single_slot, "something else entirely", **asked)
    assert text(single_slot, **asked) == first


def test_the_same_seed_draws_the_same_text_under_everything(engine: ModelEngine[Any]) -> None:
    given = {"max_tokens": 20, "temperature": 1.2, "top_k": 100, "top_p": 0.95, "min_p": 0.001}
    given |= {"repetition_penalty": 1.1, "frequency_penalty": 0.3, "presence_penalty": 0.2}
    first, again, other = (text(engine, **given, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_no_request_depends_on_how_its_neighbours_draw(engine: ModelEngine[Any]) -> None:
    asked = [
        work(f"question {number}", max_tokens=10 + number, logprobs=number % 4 if number % 3 else None, **sampling)
        for number, sampling in enumerate(MIXED * 2)
    ]
    alone = [complete(engine, each) for each in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda each: complete(engine, each), asked))
    assert [each.text for each in together] == [each.text for each in alone]
    for one, same in zip(alone, together, strict=True):
        assert shown(same.logprobs) == shown(one.logprobs)


def shown(logprobs: tuple[TokenLogprob, ...] | None) -> list[tuple[str, float]] | None:
    """Numbers as far as they do not depend on the shape of a matrix product."""
    return None if logprobs is None else [(entry.token, round(entry.logprob, 2)) for entry in logprobs]


@pytest.mark.parametrize("alternatives", [1, 5, MAX_LOGPROBS])
def test_a_greedy_token_is_the_most_probable_of_its_alternatives(
    engine: ModelEngine[Any], alternatives: int
) -> None:
    for entry in entries(engine, max_tokens=12, logprobs=alternatives):
        logprobs = [chance.logprob for chance in entry.top]
        assert (entry.token, entry.bytes, entry.logprob) == (
            entry.top[0].token,
            entry.top[0].bytes,
            entry.top[0].logprob,
        )
        assert all(first >= second for first, second in pairwise(logprobs))
        assert sum(map(math.exp, logprobs)) <= 1.0 + 1e-6


def test_there_are_as_many_alternatives_as_asked_for(engine: ModelEngine[Any]) -> None:
    assert complete(engine, work(max_tokens=4)).logprobs is None
    for wanted in (0, 1, MAX_LOGPROBS):
        first = entries(engine, max_tokens=1, logprobs=wanted)[0]
        assert len(first.top) == wanted


def test_a_drawn_token_may_be_none_of_its_alternatives(engine: ModelEngine[Any]) -> None:
    drawn = entries(engine, max_tokens=40, temperature=2.0, seed=1, logprobs=1)
    assert all(entry.logprob <= entry.top[0].logprob for entry in drawn)
    assert any(entry.logprob < entry.top[0].logprob for entry in drawn)


@pytest.mark.parametrize("sampling", MIXED, ids=str)
def test_asking_for_logprobs_changes_no_text(engine: ModelEngine[Any], sampling: dict[str, float]) -> None:
    assert text(engine, max_tokens=12, logprobs=3, **sampling) == text(engine, max_tokens=12, **sampling)


@pytest.mark.parametrize("sampling", MIXED, ids=str)
def test_logprobs_are_the_models_own_whatever_draws(engine: ModelEngine[Any], sampling: dict[str, float]) -> None:
    plain = entries(engine, max_tokens=1, logprobs=5)[0]
    first = entries(engine, max_tokens=1, logprobs=5, **sampling)[0]
    assert [chance.token for chance in first.top] == [chance.token for chance in plain.top]
    assert [chance.logprob for chance in first.top] == pytest.approx([chance.logprob for chance in plain.top])


def test_a_stop_string_takes_its_tokens_along(engine: ModelEngine[Any]) -> None:
    whole = complete(engine, work(max_tokens=30, logprobs=0))
    cut = complete(engine, work(max_tokens=30, logprobs=0, stop=(whole.text[-6:-3],)))
    assert cut.logprobs is not None
    assert whole.logprobs is not None
    assert whole.text.startswith(cut.text)
    assert len(cut.logprobs) < len(whole.logprobs)
    assert [entry.token for entry in cut.logprobs] == [entry.token for entry in whole.logprobs][
        : len(cut.logprobs)
    ]
