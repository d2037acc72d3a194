"""Laws of what breaks with what: one request alone, or the whole engine, loudly."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from core.messages import ChatMessage, Completion, Failure, FailureCode, ModelName, Sampling
from core.options import Device, Weights
from core.settings import Settings
from core.work import Work
from ensemble.engine.batch_runner import LogitsBroken
from ensemble.engine.batching import build_runner
from ensemble.engine.engine import ModelEngine
from ensemble.engine.loading import load_network
from ensemble.engine.runner import Scored
from ensemble.engine.scripted import Script, ScriptedRunner, ScriptedVocabulary
from ensemble.engine.tokenizer import load_tokenizer
from ensemble.models import ModelSpec

SPEC = ModelSpec(model=ModelName.CODESTRAL, version="test", context_tokens=512)


class FaultyRunner(ScriptedRunner):
    """Breaks when any sequence has `at` tokens left: only that one, or everything."""

    def __init__(self, *, at: int, breaks_all: bool) -> None:
        super().__init__(answer_tokens=20, seconds_per_step=0.0)
        self._at = at
        self._breaks_all = breaks_all

    def step(self, batch: Sequence[Script]) -> list[int | Scored | Exception]:
        if self._breaks_all and any(script.left == self._at for script in batch):
            raise MemoryError("the device is gone")
        tokens = super().step(batch)
        return [
            LogitsBroken("not finite") if script.left == self._at and script.words.random() < 0.5 else token
            for script, token in zip(batch, tokens, strict=True)
        ]


def engine_with(runner: ScriptedRunner, slots: int = 4) -> ModelEngine[Script]:
    return ModelEngine(
        spec=SPEC, vocabulary=ScriptedVocabulary(), runner=runner, slots=slots, default_max_tokens=100
    )


def ask(engine: ModelEngine[Script], prompt: str) -> Completion | Failure:
    work = Work(messages=(ChatMessage(role="user", content=prompt),), sampling=Sampling())
    *_, outcome = engine.generate(work)
    assert isinstance(outcome, Completion | Failure)
    return outcome


def test_a_request_that_breaks_fails_alone() -> None:
    engine = engine_with(FaultyRunner(at=10, breaks_all=False))
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda number: ask(engine, f"prompt {number}"), range(40)))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert 0 < len(failures) < len(outcomes)
    assert {failure.code for failure in failures} == {FailureCode.ENGINE_FAILED}
    assert all(failure.text and "not finite" in failure.message for failure in failures)
    assert engine.alive
    engine.close()


def test_an_engine_whose_loop_dies_fails_everyone_and_says_so() -> None:
    engine = engine_with(FaultyRunner(at=10, breaks_all=True), slots=2)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda number: ask(engine, f"prompt {number}"), range(8)))
    assert {outcome.code for outcome in outcomes if isinstance(outcome, Failure)} == {FailureCode.ENGINE_FAILED}
    assert not any(isinstance(outcome, Completion) for outcome in outcomes)
    assert not engine.alive
    assert isinstance(ask(engine, "another"), Failure)
    engine.close()


def test_threads_end_with_their_engine() -> None:
    before = threading.active_count()
    engine = engine_with(ScriptedRunner(answer_tokens=5, seconds_per_step=0.0))
    assert threading.active_count() == before + 1
    engine.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("model", list(ModelName))
def test_a_model_whose_logits_are_no_numbers_fails_the_request(tiny_models: Path, model: ModelName) -> None:
    network = load_network(model, tiny_models / model, device=Device.CPU, weights=Weights.FP32)
    runner, _ = build_runner(model, network, Settings(MATHCODE_SLOTS=2), context_tokens=SPEC.context_tokens)
    with torch.no_grad():
        network.get_output_embeddings().weight[5] = torch.nan
    engine = ModelEngine(spec=SPEC, vocabulary=load_tokenizer(), runner=runner, slots=2, default_max_tokens=8)
    work = Work(messages=(ChatMessage(role="user", content="x"),), sampling=Sampling())
    (outcome,) = engine.generate(work)
    assert isinstance(outcome, Failure)
    assert outcome.code is FailureCode.ENGINE_FAILED
    assert engine.alive
    engine.close()
