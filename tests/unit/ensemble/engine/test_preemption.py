"""Laws of losing a slot: memory runs out or is given back, and no text changes for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import EngineUnavailable
from core.messages import ChatMessage, Completion, Failure, FailureCode, ModelName, Sampling
from core.options import Device, Weights
from core.settings import Settings
from core.work import Delta, Work
from ensemble.engine.batching import build_runner
from ensemble.engine.engine import ModelEngine
from ensemble.engine.loading import load_network
from ensemble.engine.network import Chunk, SlotNetwork
from ensemble.engine.sleepable_runner import SleepableRunner
from ensemble.engine.tokenizer import load_tokenizer
from ensemble.models import ModelSpec
from tests.harness import eventually

SLOTS, TOKENS = 4, 24


class Tight:
    """A network that has no memory for the calls in which `is_lacking`, asked with the number of rows, says so."""

    def __init__(self, network: SlotNetwork) -> None:
        self._network = network
        self.is_lacking: Callable[[int], bool] = lambda rows: False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def prefill(self, chunks: Sequence[Chunk]) -> Tensor:
        logits = self._network.prefill(chunks)
        self._check(len(chunks))
        return logits

    def decode(self, slots: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        logits = self._network.decode(slots, tokens, positions)
        self._check(len(slots))
        return logits

    def _check(self, rows: int) -> None:
        """After the call, when recurrent states have moved on already: the worst moment."""
        if self.is_lacking(rows):
            raise torch.OutOfMemoryError("CUDA out of memory")


class TightSource:
    def __init__(self, source: Any) -> None:
        self._source = source
        self.network: Any = None
        self.has_memory = True
        self.lacks_while_warming_up = False

    def bring(self) -> Any:
        if not self.has_memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.network = Tight(self._source.bring())
        self.network.is_lacking = lambda rows: self.lacks_while_warming_up
        return self.network

    def put_away(self) -> None:
        self.network = None
        self._source.put_away()


class Subject:
    """An engine over a tiny model, and the source of its network."""

    def __init__(self, model: ModelName, directory: Path) -> None:
        module = load_network(model, directory, device=Device.CPU, weights=Weights.FP32)
        built, _ = build_runner(model, module, Settings(MATHCODE_SLOTS=SLOTS), context_tokens=512)
        self.source = TightSource(built._source)
        self.engine: ModelEngine[Any] = ModelEngine(
            spec=ModelSpec(model=model, version="test", context_tokens=512),
            vocabulary=load_tokenizer(),
            runner=SleepableRunner(self.source, prefill_tokens=64),
            slots=SLOTS,
            default_max_tokens=TOKENS,
            piece_interval_s=0.0,
        )


@pytest.fixture(params=list(ModelName))
def tested(request: pytest.FixtureRequest, tiny_models: Path) -> Iterator[Subject]:
    tested = Subject(request.param, tiny_models / request.param)
    yield tested
    tested.engine.close()


def work(number: int, **sampling: Any) -> Work:
    options = {"max_tokens": TOKENS, "temperature": float(number % 2), "seed": number, **sampling}
    content = f"question {number} " * (1 + 10 * (number % 3))
    return Work(messages=(ChatMessage(role="user", content=content),), sampling=Sampling(**options))


def answer(engine: ModelEngine[Any], asked: Work) -> Completion | Failure:
    *pieces, outcome = engine.generate(asked)
    assert isinstance(outcome, Completion | Failure)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Delta)) == outcome.text
    return outcome


def answers(engine: ModelEngine[Any], count: int) -> list[str]:
    with ThreadPoolExecutor(count) as pool:
        outcomes = list(pool.map(lambda number: answer(engine, work(number)), range(count)))
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    return [outcome.text for outcome in outcomes]


def test_a_step_without_memory_delays_texts_and_changes_none(tested: Subject) -> None:
    expected = answers(tested.engine, 8)
    tested.source.network.is_lacking = lambda rows: rows > 1
    assert answers(tested.engine, 8) == expected
    assert tested.engine.metrics().preemptions > 0
    assert tested.engine.alive


def test_the_oldest_go_on_and_the_limit_recovers(tested: Subject) -> None:
    failures = iter([True])
    tested.source.network.is_lacking = lambda rows: rows == SLOTS and next(failures, False)
    answers(tested.engine, 3 * SLOTS)
    seen: list[int] = []
    tested.source.network.is_lacking = lambda rows: bool(seen.append(rows))
    answers(tested.engine, SLOTS)
    assert max(seen) == SLOTS


def test_a_request_that_does_not_even_fit_alone_fails_by_name(tested: Subject) -> None:
    tested.source.network.is_lacking = lambda rows: True
    outcome = answer(tested.engine, work(0))
    assert isinstance(outcome, Failure)
    assert outcome.code is FailureCode.ENGINE_FAILED
    assert "too little memory" in outcome.message
    tested.source.network.is_lacking = lambda rows: False
    assert isinstance(answer(tested.engine, work(0)), Completion)


def test_a_wake_that_fails_while_warming_up_holds_nothing(tested: Subject) -> None:
    engine = tested.engine
    expected = answers(engine, 2)
    engine.sleep()
    tested.source.lacks_while_warming_up = True
    with pytest.raises(EngineUnavailable, match="too little memory"):
        engine.wake()
    assert tested.source.network is None
    tested.source.lacks_while_warming_up = False
    engine.wake()
    assert answers(engine, 2) == expected


def test_sleep_gives_everything_back_and_texts_go_on_after_it(tested: Subject) -> None:
    engine = tested.engine
    expected = answers(engine, 8)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(answer, engine, work(number)) for number in range(8)]
        eventually(lambda: engine.metrics().tokens > 8 * TOKENS + SLOTS)
        engine.sleep()
        asleep = engine.metrics()
        assert (asleep.is_asleep, asleep.running, asleep.memory_bytes) == (True, 0, 0)
        assert tested.source.network is None
        engine.sleep()  # does nothing
        engine.wake()
        engine.wake()
        assert [future.result().text for future in futures] == expected
    assert not engine.metrics().is_asleep


def test_who_waits_for_a_sleeper_may_leave(tested: Subject) -> None:
    engine = tested.engine
    engine.sleep()
    asked = work(0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(answer, engine, asked)
        eventually(lambda: engine.waiting == 1)
        asked.cancelled.set()
        outcome = waiting.result(10)
    assert isinstance(outcome, Failure)
    assert outcome.code is FailureCode.CANCELLED
    engine.close()


def test_an_engine_that_cannot_wake_sleeps_on_and_says_so(tested: Subject) -> None:
    engine = tested.engine
    expected = answers(engine, 2)
    engine.sleep()
    tested.source.has_memory = False
    with pytest.raises(EngineUnavailable, match="too little memory"):
        engine.wake()
    assert engine.alive
    assert engine.metrics().is_asleep
    tested.source.has_memory = True
    engine.wake()
    assert answers(engine, 2) == expected


def test_a_closed_engine_neither_sleeps_nor_wakes(tested: Subject) -> None:
    tested.engine.close()
    for ask in (tested.engine.sleep, tested.engine.wake):
        with pytest.raises(EngineUnavailable, match="closed"):
            ask()
