"""Who gets a slot next, over every engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from core.messages import ChatMessage, Completion, Failure, ModelName, Priority, Sampling
from core.settings import Settings
from core.work import Work
from ensemble.engine.build import build_engine
from ensemble.engine.engine import ModelEngine
from ensemble.engine.scripted import ScriptedEngine
from tests.harness import eventually

PATIENCE_S = 30.0
LONG = 900


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(params=["mathstral", "codestral", "scripted"])
def single_slot(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[ModelEngine[Any]]:
    engine: ModelEngine[Any]
    if request.param == "scripted":
        engine = ScriptedEngine(answer_tokens=10_000, seconds_per_step=0.001, slots=1)
    else:
        settings = Settings(
            MATHCODE_PROFILE="tiny", MATHCODE_DATA_DIR=data_dir, MATHCODE_CONTEXT_TOKENS=1024, MATHCODE_SLOTS=1
        )
        engine = build_engine(ModelName(request.param), settings)
    yield engine
    engine.close()


def work(priority: Priority, *, max_tokens: int) -> Work:
    message = ChatMessage(role="user", content=f"a question of {priority} priority")
    return Work(messages=(message,), sampling=Sampling(max_tokens=max_tokens), priority=priority)


def outcome(engine: ModelEngine[Any], asked: Work) -> Completion | Failure:
    *_, last = engine.generate(asked)
    assert isinstance(last, Completion | Failure)
    return last


def test_a_later_more_urgent_request_runs_before_an_earlier_one(single_slot: ModelEngine[Any]) -> None:
    running = single_slot.generate(work(Priority.LOW, max_tokens=LONG))
    next(running)
    low, high = work(Priority.LOW, max_tokens=LONG), work(Priority.HIGH, max_tokens=2)
    with ThreadPoolExecutor(2) as pool:
        earlier = pool.submit(outcome, single_slot, low)
        eventually(lambda: single_slot.waiting == 1)
        later = pool.submit(outcome, single_slot, high)
        eventually(lambda: single_slot.waiting == 2)
        running.close()
        first, _ = wait([earlier, later], timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
        low.cancelled.set()
        assert first == {later}
        assert isinstance(later.result(PATIENCE_S), Completion)


def test_an_urgent_request_waits_for_a_slot_that_is_taken(single_slot: ModelEngine[Any]) -> None:
    running = single_slot.generate(work(Priority.LOW, max_tokens=LONG))
    next(running)
    with ThreadPoolExecutor(1) as pool:
        urgent = pool.submit(outcome, single_slot, work(Priority.HIGH, max_tokens=2))
        eventually(lambda: single_slot.waiting == 1)
        assert isinstance(next(running), Completion | Failure) is False
        assert (single_slot.running, urgent.done()) == (1, False)
        running.close()
        assert isinstance(urgent.result(PATIENCE_S), Completion)
