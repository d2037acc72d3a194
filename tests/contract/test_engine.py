"""One suite over every engine: both tiny models and the scripted one behave alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import pytest

from core.errors import AdapterError, EngineUnavailable
from core.messages import ChatMessage, Completion, Failure, FailureCode, FinishReason, ModelName, Sampling
from core.settings import Settings
from core.work import Delta, Work
from ensemble.engine.build import build_engine
from ensemble.engine.engine import ModelEngine
from ensemble.engine.scripted import ScriptedEngine
from tasks.ports import Engine
from tests.adapters import write_adapter

PATIENCE_S = 30.0
CONTEXT_TOKENS = 1024
LONG = 900
KINDS = ["mathstral", "codestral", "scripted"]
FROZEN = "mathstral"


class Build(Protocol):
    def __call__(self, *, slots: int = 4) -> ModelEngine[Any]: ...


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        MATHCODE_DATA_DIR=tmp_path_factory.mktemp("engines"),
        MATHCODE_CONTEXT_TOKENS=CONTEXT_TOKENS,
        MATHCODE_MAX_TOKENS=24,
    )


@pytest.fixture(scope="module", params=KINDS)
def build(request: pytest.FixtureRequest, settings: Settings) -> Build:
    def scripted(*, slots: int = 4) -> ModelEngine[Any]:
        return ScriptedEngine(
            answer_tokens=10_000,
            seconds_per_step=0.001,
            slots=slots,
            context_tokens=CONTEXT_TOKENS,
            default_max_tokens=settings.default_max_tokens,
            piece_interval_s=0.0,
        )

    def tiny(*, slots: int = 4) -> ModelEngine[Any]:
        return build_engine(
            ModelName(request.param), settings.model_copy(update={"slots": slots}), piece_interval_s=0.0
        )

    return scripted if request.param == "scripted" else tiny


@pytest.fixture(scope="module")
def engine(build: Build) -> Iterator[ModelEngine[Any]]:
    engine = build()
    yield engine
    engine.close()


@pytest.fixture
def single_slot(build: Build) -> Iterator[ModelEngine[Any]]:
    engine = build(slots=1)
    yield engine
    engine.close()


def work(prompt: str = "Solve 2x^2 + 5x - 3 = 0", deadline: float | None = None, **sampling: Any) -> Work:
    message = ChatMessage(role="user", content=prompt)
    return Work(messages=(message,), sampling=Sampling(**sampling), deadline=deadline)


def run(engine: Engine, asked: Work) -> tuple[list[str], Completion | Failure]:
    *deltas, outcome = engine.generate(asked)
    assert not isinstance(outcome, Delta)
    assert all(isinstance(delta, Delta) for delta in deltas)
    return [delta.text for delta in deltas if isinstance(delta, Delta)], outcome


def complete(engine: Engine, asked: Work) -> Completion:
    pieces, outcome = run(engine, asked)
    assert isinstance(outcome, Completion)
    assert "".join(pieces) == outcome.text
    return outcome


def failure(engine: Engine, asked: Work) -> Failure:
    pieces, outcome = run(engine, asked)
    assert isinstance(outcome, Failure)
    assert "".join(pieces) == outcome.text
    return outcome


def eventually(claim: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    pause = Event()
    while not claim():
        assert time.monotonic() < end, "did not come true in time"
        pause.wait(0.005)


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


@pytest.fixture
def swapping(build: Build, request: pytest.FixtureRequest) -> Iterator[ModelEngine[Any]]:
    """An engine that takes adapters."""
    engine = build()
    if request.node.callspec.params["build"] == FROZEN:
        engine.close()
        pytest.skip("this model takes no adapters; the law of the frozen one says so")
    yield engine
    engine.close()


def test_new_requests_get_the_new_version_and_name_it(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    base = swapping.version
    texts = {base: complete(swapping, work(max_tokens=12)).text}
    for number in range(1, 4):
        swapping.swap_adapter(f"v{number}", write_adapter(tmp_path / f"{number}", seed=number))
        completion = complete(swapping, work(max_tokens=12))
        assert completion.version == swapping.version == swapping.metrics().version == f"v{number}"
        texts[completion.version] = completion.text
    assert len(set(texts.values())) == 4
    swapping.swap_adapter(None, None)
    completion = complete(swapping, work(max_tokens=12))
    assert (completion.version, completion.text) == (base, texts[base])


def test_requests_end_on_the_version_they_began_with(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    old, new = (write_adapter(tmp_path / name, seed=seed) for seed, name in enumerate(("old", "new"), 1))
    swapping.swap_adapter("old", old)
    whole = complete(swapping, work(max_tokens=300)).text
    stream = swapping.generate(work(max_tokens=300))
    next(stream)
    swapping.swap_adapter("new", new)
    assert complete(swapping, work(max_tokens=12)).version == "new"
    outcome = list(stream)[-1]
    assert isinstance(outcome, Completion)
    assert (outcome.version, outcome.text) == ("old", whole)


def test_a_version_sleeps_and_wakes_with_its_requests(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    swapping.swap_adapter("old", write_adapter(tmp_path / "old", seed=1))
    whole = complete(swapping, work(max_tokens=300)).text
    stream = swapping.generate(work(max_tokens=300))
    next(stream)
    swapping.sleep()
    swapping.swap_adapter("new", write_adapter(tmp_path / "new", seed=2))
    swapping.wake()
    outcome = list(stream)[-1]
    assert isinstance(outcome, Completion)
    assert (outcome.version, outcome.text) == ("old", whole)
    assert complete(swapping, work(max_tokens=12)).version == "new"


def test_a_third_version_waits_until_the_first_is_done(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    versions = {f"v{number}": write_adapter(tmp_path / f"{number}", seed=number) for number in range(3)}
    streams = []
    for name in ("v0", "v1"):
        swapping.swap_adapter(name, versions[name])
        streams.append(swapping.generate(work(max_tokens=LONG)))
        next(streams[-1])
    with pytest.raises(EngineUnavailable, match="earlier version"):
        swapping.swap_adapter("v2", versions["v2"])
    assert swapping.version == "v1"
    streams[0].close()
    eventually(lambda: swapping.running == 1)
    swapping.swap_adapter("v2", versions["v2"])
    assert complete(swapping, work(max_tokens=4)).version == "v2"
    streams[1].close()


def test_a_bad_adapter_is_refused_and_the_version_stays(engine: ModelEngine[Any], tmp_path: Path) -> None:
    before = engine.version
    with pytest.raises(AdapterError, match="nowhere"):
        engine.swap_adapter("v1", tmp_path / "nowhere")
    assert engine.version == before
    assert complete(engine, work(max_tokens=4)).version == before


def test_a_sleeping_engine_answers_after_it_wakes(engine: ModelEngine[Any]) -> None:
    expected = complete(engine, work(max_tokens=40)).text
    engine.sleep()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(complete, engine, work(max_tokens=40)) for _ in range(2)]
        eventually(lambda: engine.waiting == 2)
        assert engine.metrics().is_asleep
        engine.wake()
        assert [future.result(PATIENCE_S).text for future in futures] == [expected] * 2


def test_metrics_count_what_was_done(build: Build) -> None:
    engine = build(slots=3)
    assert engine.metrics().free_slots == 3
    stream = engine.generate(work(max_tokens=LONG))
    next(stream)
    busy = engine.metrics()
    assert (busy.running, busy.waiting, busy.free_slots, busy.version) == (1, 0, 2, engine.version)
    assert busy.memory_used_bytes <= busy.memory_bytes
    stream.close()
    eventually(lambda: engine.metrics().running == 0)
    before = engine.metrics().tokens
    complete(engine, work(max_tokens=9))
    after = engine.metrics()
    assert after.tokens - before == 9
    assert after.first_token_p50_s is not None
    assert after.token_p50_s is not None
    assert after.preemptions == 0
    engine.close()
