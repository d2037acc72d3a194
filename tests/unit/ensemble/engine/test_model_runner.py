"""Laws of running a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.messages import ModelName, Sampling
from core.settings import Device, Weights
from ensemble.engine.loading import load_network
from ensemble.engine.model_runner import ModelRunner
from ensemble.engine.sampling import LogitsBroken

PROMPT = [1, 3, 2507, 2880, 4]


@pytest.fixture(params=list(ModelName))
def runner(request: pytest.FixtureRequest, tiny_models: Path) -> ModelRunner:
    return ModelRunner(
        load_network(request.param, tiny_models / request.param, device=Device.CPU, weights=Weights.FP32)
    )


def tokens(runner: ModelRunner, count: int) -> list[int | Exception]:
    generation = runner.admit(PROMPT, Sampling())
    return [runner.step([generation])[0] for _ in range(count)]


def test_sequences_in_one_batch_do_not_touch_each_other(runner: ModelRunner) -> None:
    alone = tokens(runner, 6)
    early, late = runner.admit(PROMPT, Sampling()), runner.admit([1, 3, 9999, 4], Sampling())
    together = [runner.step([early])[0], runner.step([early])[0]]
    together += [runner.step([late, early])[1] for _ in range(4)]
    assert together == alone


def test_warming_up_leaves_no_trace(runner: ModelRunner) -> None:
    before = tokens(runner, 4)
    runner.warm_up()
    assert tokens(runner, 4) == before


def test_a_broken_network_is_noticed_while_warming_up(runner: ModelRunner) -> None:
    with torch.no_grad():
        runner._network.get_output_embeddings().weight[5] = torch.nan
    with pytest.raises(LogitsBroken):
        runner.warm_up()
