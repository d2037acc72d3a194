"""One suite over every engine: both tiny models and the scripted one behave alike."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from core.messages import Completion, Failure, FailureCode, FinishReason
from core.settings import Settings
from core.work import Delta
from ensemble.engine.engine import ModelEngine
from tests.contract.asking import complete, failure, run, work
from tests.contract.conftest import CONTEXT_TOKENS, Build
from tests.harness import eventually

PATIENCE_S = 30.0
LONG = 900


def test_text_arrives_in_pieces_that_join_to_the_completion(engine: ModelEngine[Any]) -> None:
    pieces, outcome = run(engine, work(max_tokens=20))
    assert isinstance(outcome, Completion)
    assert len(pieces) > 1
    assert all(pieces)
    assert "".join(pieces) == outcome.text


def test_a_completion_says_what_it_is_and_what_it_took(engine: ModelEngine[Any]) -> None:
    completion = complete(engine, work(max_tokens=8))
    assert (completion.model, completion.version) == (engine.model, engine.version)
    assert completion.prompt_tokens > 5
    assert completion.first_token_s is not None
    assert 0 < completion.first_token_s <= completion.seconds


@pytest.mark.parametrize("limit", [1, 2, 17])
def test_max_tokens_is_exact(engine: ModelEngine[Any], limit: int) -> None:
    completion = complete(engine, work(max_tokens=limit))
    assert completion.completion_tokens == limit
    assert completion.finish_reason is FinishReason.LENGTH


def test_an_answer_without_a_limit_gets_the_default(engine: ModelEngine[Any], settings: Settings) -> None:
    assert complete(engine, work()).completion_tokens == settings.default_max_tokens


def test_greedy_text_is_a_function_of_the_prompt(engine: ModelEngine[Any]) -> None:
    texts = [complete(engine, work(prompt, max_tokens=12)).text for prompt in ("a b c", "a b c", "a b d")]
    assert texts[0] == texts[1] != texts[2]


def test_a_stop_string_across_tokens_ends_the_text_and_is_never_seen(engine: ModelEngine[Any]) -> None:
    pieces, _ = run(engine, work(max_tokens=30))
    whole = "".join(pieces)
    spanning = [
        first[-2:] + second[:2] for first, second in pairwise(pieces) if len(first) > 1 and len(second) > 1
    ]
    assert len(spanning) > 3
    for stop in spanning:
        seen, outcome = run(engine, work(max_tokens=30, stop=(stop,)))
        assert isinstance(outcome, Completion)
        assert outcome.finish_reason is FinishReason.STOP
        assert "".join(seen) == outcome.text == whole[: whole.index(stop)]


def test_a_stop_string_that_never_completes_holds_nothing_back(engine: ModelEngine[Any]) -> None:
    whole = complete(engine, work(max_tokens=30)).text
    stops = tuple(whole[-size:] + "\x01" for size in range(1, 6))
    completion = complete(engine, work(max_tokens=30, stop=stops))
    assert completion.text == whole
    assert completion.finish_reason is FinishReason.LENGTH


def test_the_same_seed_draws_the_same_text(engine: ModelEngine[Any]) -> None:
    seeded = [complete(engine, work(max_tokens=12, temperature=1.0, seed=seed)).text for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]


def test_without_a_seed_every_text_is_another(engine: ModelEngine[Any]) -> None:
    assert len({complete(engine, work(max_tokens=12, temperature=1.0)).text for _ in range(3)}) == 3


def test_temperature_zero_ignores_the_seed(engine: ModelEngine[Any]) -> None:
    assert len({complete(engine, work(max_tokens=12, seed=seed)).text for seed in (1, 2)}) == 1


def test_text_does_not_depend_on_what_else_is_running(engine: ModelEngine[Any]) -> None:
    asked = [
        work(f"question {number}", max_tokens=10 + number, temperature=number % 2, seed=number)
        for number in range(16)
    ]
    alone = [complete(engine, each).text for each in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = [completion.text for completion in pool.map(lambda each: complete(engine, each), asked)]
    assert together == alone


def test_a_deadline_keeps_what_was_said_until_then(engine: ModelEngine[Any]) -> None:
    stream = engine.generate(asked := work(max_tokens=LONG, deadline=time.time() + 0.2))
    outcome = list(stream)[-1]
    assert isinstance(outcome, Failure)
    assert outcome.code is FailureCode.EXPIRED
    assert asked.deadline is not None
    assert time.time() >= asked.deadline


def test_a_deadline_in_the_past_ends_before_any_text(engine: ModelEngine[Any]) -> None:
    expired = failure(engine, work(deadline=time.time() - 1))
    assert (expired.code, expired.text) == (FailureCode.EXPIRED, "")


def test_cancelling_keeps_what_was_said_until_then(engine: ModelEngine[Any]) -> None:
    asked = work(max_tokens=LONG)
    pieces = []
    for event in engine.generate(asked):
        if isinstance(event, Delta):
            pieces.append(event.text)
            asked.cancelled.set()
    assert isinstance(event, Failure)
    assert event.code is FailureCode.CANCELLED
    assert event.text == "".join(pieces)
    assert 0 < len(pieces) < LONG // 2


def test_closing_the_iterator_frees_the_slot(engine: ModelEngine[Any]) -> None:
    stream = engine.generate(work(max_tokens=LONG))
    assert isinstance(next(stream), Delta)
    assert engine.running == 1
    stream.close()
    eventually(lambda: engine.running == 0)


def test_no_more_run_than_there_are_slots_and_the_rest_wait_their_turn(single_slot: ModelEngine[Any]) -> None:
    first = single_slot.generate(work(max_tokens=LONG))
    next(first)
    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(complete, single_slot, work("second", max_tokens=2))
        eventually(lambda: single_slot.waiting == 1)
        third = pool.submit(complete, single_slot, work("third", max_tokens=2))
        eventually(lambda: single_slot.waiting == 2)
        assert single_slot.running == 1
        assert isinstance(list(first)[-1], Completion)
        waits = [future.result(PATIENCE_S).first_token_s for future in (second, third)]
    assert None not in waits


@pytest.mark.parametrize("code", [FailureCode.CANCELLED, FailureCode.EXPIRED])
def test_waiting_requests_can_be_cancelled_and_expire(single_slot: ModelEngine[Any], code: FailureCode) -> None:
    running = single_slot.generate(work(max_tokens=LONG))
    next(running)
    waiting = work(deadline=time.time() + 0.1 if code is FailureCode.EXPIRED else None)
    if code is FailureCode.CANCELLED:
        waiting.cancelled.set()
    ended = failure(single_slot, waiting)
    assert (ended.code, ended.text) == (code, "")
    assert single_slot.running == 1
    running.close()


def test_a_prompt_without_room_is_refused_with_both_counts(engine: ModelEngine[Any]) -> None:
    refused = failure(engine, work("many words " * CONTEXT_TOKENS))
    assert refused.code is FailureCode.PROMPT_TOO_LONG
    assert str(CONTEXT_TOKENS) in refused.message
    assert engine.running == engine.waiting == 0


def test_an_explicit_max_tokens_beyond_the_context_is_refused(engine: ModelEngine[Any]) -> None:
    refused = failure(engine, work(max_tokens=CONTEXT_TOKENS))
    assert refused.code is FailureCode.PROMPT_TOO_LONG
    assert f"{CONTEXT_TOKENS} more" in refused.message


def test_the_default_is_cut_to_what_the_context_leaves(engine: ModelEngine[Any], settings: Settings) -> None:
    frame = complete(engine, work("x", max_tokens=1)).prompt_tokens - 1
    completion = complete(engine, work("x " * (CONTEXT_TOKENS - frame - 12)))
    assert completion.completion_tokens == CONTEXT_TOKENS - completion.prompt_tokens < settings.default_max_tokens
    assert completion.finish_reason is FinishReason.LENGTH


def test_many_threads_are_each_served_their_own_answer(engine: ModelEngine[Any]) -> None:
    prompts = [f"prompt {number % 5}" for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        texts = list(pool.map(lambda prompt: complete(engine, work(prompt, max_tokens=6)).text, prompts))
    assert len(set(texts)) == 5
    assert texts[:5] * 8 == texts


def test_text_holds_nothing_that_cannot_be_stored(engine: ModelEngine[Any]) -> None:
    text = complete(engine, work(max_tokens=LONG, temperature=2.0, seed=5)).text
    assert "\0" not in text
    assert text.encode().decode() == text
    assert not any(control in text for control in ("<s>", "</s>", "[INST]", "[/INST]", "[control_"))


def test_closing_fails_what_runs_and_what_waits(build: Build) -> None:
    engine = build(slots=1)
    running = engine.generate(work(max_tokens=LONG))
    next(running)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(failure, engine, work())
        eventually(lambda: engine.waiting == 1)
        assert engine.alive
        engine.close()
        ended = [list(running)[-1], waiting.result(PATIENCE_S)]
    assert [outcome.code for outcome in ended if isinstance(outcome, Failure)] == [FailureCode.ENGINE_FAILED] * 2
    assert not engine.alive


def test_a_closed_engine_answers_with_a_failure_and_may_be_closed_again(build: Build) -> None:
    engine = build()
    engine.close()
    engine.close()
    assert failure(engine, work()).code is FailureCode.ENGINE_FAILED
