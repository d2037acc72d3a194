"""What may serve."""

from __future__ import annotations

import math

import pytest

from core.training import Purpose
from training.folder import Losses, Scores
from training.promotion import Verdict, judge

SERVING = {Purpose.HELDOUT: 2.0, Purpose.FROZEN: 2.0, Purpose.ANCHOR: 1.5}


def verdict(*, smoke: tuple[str, ...] = (), passed: int = 10, served: int = 10, **losses: float | None) -> Verdict:
    found = {**SERVING, Purpose.HELDOUT: 1.9}
    changed = {Purpose(name): loss for name, loss in losses.items()}
    candidate = {p: loss for p, loss in {**found, **changed}.items() if loss is not None}
    scores = Scores(
        candidate=Losses(losses=candidate, passed=passed),
        serving=Losses(losses=SERVING, passed=served),
        tasks=20,
        smoke=smoke,
    )
    return judge(scores, min_improvement=0.005, most_regression=0.01)


def test_what_is_better_where_it_was_not_trained_is_promoted_with_its_figures() -> None:
    found = verdict()
    assert found.is_promoted
    assert found.reasons[0] == "heldout loss 2.0000 -> 1.9000 (-5.0 %)"


@pytest.mark.parametrize(
    ("losses", "word"),
    [
        ({"heldout": 2.0}, "heldout"),
        ({"heldout": 1.995}, "heldout"),
        ({"heldout": math.nan}, "no number"),
        ({"frozen": 2.03}, "frozen"),
        ({"frozen": math.inf}, "no number"),
        ({"anchor": 1.52}, "anchor"),
        ({"heldout": None}, "nothing is held out"),
    ],
)
def test_one_bad_loss_is_enough_to_reject_and_is_named(losses: dict[str, float | None], word: str) -> None:
    found = verdict(**losses)
    assert not found.is_promoted
    assert len(found.reasons) == 1
    assert word in found.reasons[0]


def test_the_least_improvement_is_enough() -> None:
    assert verdict(heldout=1.98999).is_promoted


def test_unfit_text_rejects() -> None:
    assert not verdict(smoke=("it repeats itself",)).is_promoted


def test_a_tenth_of_the_functions_may_be_lost_and_no_more() -> None:
    assert verdict(passed=8).is_promoted
    assert not verdict(passed=7).is_promoted


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_still_none_when_the_scores_were_written_and_read(number: float) -> None:
    candidate = Losses(losses={Purpose.HELDOUT: number}, passed=1)
    serving = Losses(losses={Purpose.HELDOUT: 1.0}, passed=1)
    scores = Scores(candidate=candidate, serving=serving, tasks=1, smoke=())
    read = Scores.model_validate_json(scores.model_dump_json())
    assert not judge(read, min_improvement=0.005, most_regression=0.01).is_promoted
