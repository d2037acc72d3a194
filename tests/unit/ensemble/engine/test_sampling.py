"""Laws of drawing a token."""

from __future__ import annotations

import math

import pytest
import torch

from core.messages import Sampling
from ensemble.engine.sampling import LogitsBroken, Sampler

CPU = torch.device("cpu")
LOGITS = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()


def draws(count: int = 400, **sampling: float) -> list[int]:
    sampler = Sampler(Sampling.model_validate({"seed": 11, **sampling}), CPU)
    return [sampler.draw(LOGITS) for _ in range(count)]


def test_temperature_zero_takes_the_most_probable_token() -> None:
    assert set(draws(temperature=0.0)) == {0}


def test_temperature_one_draws_by_the_models_own_probabilities() -> None:
    drawn = draws(4000, temperature=1.0)
    shares = [drawn.count(token) / len(drawn) for token in range(4)]
    assert shares == pytest.approx(LOGITS.exp().tolist(), abs=0.03)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.001, {0}), (0.5, {0}), (0.6, {0, 1}), (0.8, {0, 1, 2}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: set[int]) -> None:
    assert set(draws(temperature=1.0, top_p=top_p)) == kept


def test_a_tiny_temperature_is_almost_greedy_and_breaks_nothing() -> None:
    assert set(draws(temperature=1e-6)) == {0}


def test_a_seed_decides_every_draw_and_samplers_share_nothing() -> None:
    alone = draws(temperature=1.0)
    first, second = (Sampler(Sampling(temperature=1.0, seed=seed), CPU) for seed in (11, 12))
    mixed = [(first.draw(LOGITS), second.draw(LOGITS))[0] for _ in range(400)]
    assert mixed == alone


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_an_error(value: float, temperature: float) -> None:
    broken = LOGITS.clone()
    broken[2] = value
    with pytest.raises(LogitsBroken):
        Sampler(Sampling(temperature=temperature), CPU).draw(broken)
