"""Laws of drawing tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.messages import Sampling
from ensemble.engine.batch_sampling import BROKEN, BatchSampler, Draw
from ensemble.engine.cuts import Cut

CPU = torch.device("cpu")
LOGITS = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()


def draws(count: int = 400, **sampling: float) -> list[int]:
    """What one request draws in its first `count` steps from the same logits."""
    rows = [Draw.of(Sampling.model_validate({"seed": 11, **sampling}))] * count
    return BatchSampler(rows, CPU).draw(LOGITS.repeat(count, 1), torch.arange(count)).tolist()


def test_temperature_zero_takes_the_most_probable_token() -> None:
    assert set(draws(temperature=0.0)) == {0}


@pytest.mark.parametrize(("temperature", "power"), [(1.0, 1.0), (2.0, 0.5), (0.5, 2.0)])
def test_tokens_are_drawn_by_the_models_probabilities(temperature: float, power: float) -> None:
    drawn = draws(20_000, temperature=temperature)
    shares = [drawn.count(token) / len(drawn) for token in range(4)]
    expected = LOGITS.exp() ** power
    assert shares == pytest.approx((expected / expected.sum()).tolist(), abs=0.015)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.001, {0}), (0.4, {0}), (0.6, {0, 1}), (0.8, {0, 1, 2}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: set[int]) -> None:
    assert set(draws(temperature=1.0, top_p=top_p)) == kept


def test_a_tiny_temperature_is_almost_greedy_and_breaks_nothing() -> None:
    assert set(draws(temperature=1e-6)) == {0}


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    wanted = [Draw(1.0, 11), Draw(0.0, 3), Draw(1.0, 12, Cut(top_p=0.7)), Draw(2.0, 2**62)]
    logits = torch.randn(4, 500, generator=torch.Generator().manual_seed(1))

    def drawn(rows: list[int], step: int) -> list[int]:
        sampler = BatchSampler([wanted[row] for row in rows], CPU)
        return sampler.draw(logits[rows], torch.full((len(rows),), step)).tolist()

    for step in range(20):
        together = drawn([0, 1, 2, 3], step)
        assert drawn([3, 1, 0, 2], step) == [together[row] for row in (3, 1, 0, 2)]
        assert [drawn([row], step)[0] for row in range(4)] == together


def test_other_seeds_and_other_steps_draw_others() -> None:
    assert draws(temperature=1.0, seed=1) != draws(temperature=1.0, seed=2)
    assert len(set(draws(temperature=1.0))) > 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_that_is_no_numbers_is_marked_and_the_others_are_drawn(value: float, temperature: float) -> None:
    logits: Tensor = LOGITS.repeat(3, 1)
    logits[1, 2] = value
    tokens = BatchSampler([Draw(temperature, 7)] * 3, CPU).draw(logits, torch.arange(3)).tolist()
    assert tokens[1] == BROKEN
    assert BROKEN not in (tokens[0], tokens[2])
