"""Whatever requests come, leave and share the engine: each gets the text it would get alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Event
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.messages import ChatMessage, Completion, Failure, FailureCode, FinishReason, Sampling
from core.work import Delta, Work
from ensemble.engine.engine import ModelEngine
from tests.harness import eventually

PATIENCE_S = 60.0
MOST_TOKENS = 48


@dataclass(frozen=True)
class Asked:
    """One request of a plan. `stop` is (where it begins, how long it is) in the text it would have alone."""

    prompt: str
    max_tokens: int
    seed: int | None
    stop: tuple[float, int] | None
    cancel_after: int | None  # pieces of text
    comes_late: bool  # only when the one before it has its first piece


REQUESTS = st.builds(
    Asked,
    prompt=st.builds(
        lambda word, times: f"{word} " * times, st.sampled_from("abcdef"), st.sampled_from([1, 9, 120])
    ),
    max_tokens=st.integers(1, MOST_TOKENS),
    seed=st.sampled_from([None, 1, 2]),
    stop=st.none() | st.tuples(st.floats(0, 1), st.integers(1, 9)),
    cancel_after=st.none() | st.none() | st.integers(0, 12),
    comes_late=st.booleans(),
)


def work(asked: Asked, stop: tuple[str, ...] = ()) -> Work:
    sampling = Sampling(
        max_tokens=asked.max_tokens,
        temperature=0.0 if asked.seed is None else 1.0,
        top_p=0.95,
        seed=asked.seed,
        stop=stop,
    )
    return Work(messages=(ChatMessage(role="user", content=asked.prompt),), sampling=sampling)


def follow(engine: ModelEngine[Any], asked: Work, began: Event, cancel_after: int | None) -> Completion | Failure:
    pieces: list[str] = []
    if cancel_after == 0:
        asked.cancelled.set()
    for event in engine.generate(asked):
        began.set()
        if not isinstance(event, Delta):
            assert "".join(pieces) == event.text
            return event
        pieces.append(event.text)
        if len(pieces) == cancel_after:
            asked.cancelled.set()
    raise AssertionError("no outcome")


def test_every_text_is_the_one_it_would_be_alone(engine: ModelEngine[Any]) -> None:
    @cache
    def alone(prompt: str, seed: int | None, max_tokens: int) -> Completion:
        outcome = follow(engine, work(Asked(prompt, max_tokens, seed, None, None, False)), Event(), None)
        assert isinstance(outcome, Completion)
        return outcome

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(plan=st.lists(REQUESTS, min_size=2, max_size=9), naps=st.lists(st.integers(0, 8), max_size=2))
    def check(plan: list[Asked], naps: list[int]) -> None:
        whole = [alone(asked.prompt, asked.seed, asked.max_tokens) for asked in plan]
        stops = [_stop(asked, each.text) for asked, each in zip(plan, whole, strict=True)]
        outcomes = together(engine, plan, stops, naps)
        for asked, stop, expected, outcome in zip(plan, stops, whole, outcomes, strict=True):
            _check_one(asked, stop, expected, outcome)
        eventually(lambda: engine.running == engine.waiting == engine.metrics().memory_used_bytes == 0)

    check()


def together(
    engine: ModelEngine[Any], plan: list[Asked], stops: list[tuple[str, ...]], naps: list[int]
) -> list[Completion | Failure]:
    """The outcomes of a plan; the engine sleeps a moment when so many of its requests have begun."""
    began = [Event() for _ in plan]
    with ThreadPoolExecutor(len(plan)) as pool:
        futures = []
        for index, (asked, stop) in enumerate(zip(plan, stops, strict=True)):
            if asked.comes_late and index > 0:
                assert began[index - 1].wait(PATIENCE_S)
            futures.append(pool.submit(follow, engine, work(asked, stop), began[index], asked.cancel_after))
            if index in naps:
                engine.sleep()
                engine.wake()
        return [future.result(PATIENCE_S) for future in futures]


def _stop(asked: Asked, text: str) -> tuple[str, ...]:
    if asked.stop is None or not text:
        return ()
    begin = min(int(asked.stop[0] * len(text)), len(text) - 1)
    return (text[begin : begin + asked.stop[1]],)


def _check_one(asked: Asked, stop: tuple[str, ...], expected: Completion, outcome: Completion | Failure) -> None:
    text = expected.text[: expected.text.index(stop[0])] if stop else expected.text
    if isinstance(outcome, Failure):
        assert outcome.code is FailureCode.CANCELLED
        assert asked.cancel_after is not None
        assert text.startswith(outcome.text)
    else:
        assert outcome.text == text
        assert outcome.finish_reason is (FinishReason.STOP if stop else expected.finish_reason)
