"""Laws of log-probabilities on the device, and of what the plain reference makes of the same logits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.messages import Sampling
from ensemble.engine import plain_sampling
from ensemble.engine.batch_sampling import BROKEN, Draw
from ensemble.engine.drawing import Drawer
from ensemble.engine.launched import Launched
from ensemble.engine.penalties import PenaltyMemory
from ensemble.engine.runner import Scored
from ensemble.engine.scoring import LEAST, Scorer

CPU = torch.device("cpu")
VOCABULARY = 200


def any_asked(wanted: list[int | None]) -> bool:
    return any(most is not None for most in wanted)


WANTED = st.lists(st.none() | st.integers(0, 20), min_size=1, max_size=5).filter(any_asked)


def random_logits(rows: int, seed: int) -> Tensor:
    return 3 * torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def scored(logits: Tensor, tokens: list[int], wanted: list[int | None]) -> dict[int, Scored]:
    return dict(Scorer(wanted, CPU).score(logits, torch.tensor(tokens)).scored(tokens))


@given(wanted=WANTED, seed=st.integers(0, 10_000))
def test_scores_are_those_of_the_plain_reference_for_exactly_the_rows_that_asked(
    wanted: list[int | None], seed: int
) -> None:
    logits = random_logits(len(wanted), seed)
    tokens = [(7 * row + seed) % VOCABULARY for row in range(len(wanted))]
    scores = scored(logits, tokens, wanted)
    assert list(scores) == [row for row, most in enumerate(wanted) if most is not None]
    for row, ours in scores.items():
        plain = plain_sampling.score(dict(enumerate(logits[row].tolist())), tokens[row], wanted[row] or 0)
        assert (ours.token, [token for token, _ in ours.top]) == (plain.token, [token for token, _ in plain.top])
        assert ours.logprob == pytest.approx(plain.logprob, abs=1e-4)
        assert [logprob for _, logprob in ours.top] == pytest.approx([each for _, each in plain.top], abs=1e-4)


@given(wanted=WANTED, seed=st.integers(0, 10_000))
def test_scores_do_not_depend_on_what_the_neighbours_asked_for(wanted: list[int | None], seed: int) -> None:
    logits = random_logits(len(wanted), seed).round()  # many are equal
    tokens = list(range(len(wanted)))
    for row, ours in scored(logits, tokens, wanted).items():
        assert ours == scored(logits[row : row + 1], [tokens[row]], [wanted[row]])[0]


def test_what_is_all_but_impossible_stays_a_number() -> None:
    logits = torch.full((1, VOCABULARY), -3e38)
    logits[0, 3] = 3e38
    ours = scored(logits, [4], [2])[0]
    assert (ours.logprob, ours.top) == (LEAST, ((3, 0.0), (0, LEAST)))


def launch(logits: Tensor, draws: list[Draw]) -> list[int | Scored]:
    """One step of two parts, as of writers and readers."""
    memory, half = PenaltyMemory(len(draws), CPU), len(draws) // 2
    slots = torch.arange(len(draws))
    parts = [
        Drawer(draws[part], slots[part], memory).draw(logits[part], torch.zeros(half, dtype=torch.int64))
        for part in (slice(half), slice(half, None))
    ]
    rows = [object() for _ in draws]
    drawn = Launched.of(rows, parts).by_row()
    return [drawn[row] for row in rows]


def test_each_row_gets_its_own_scores_and_only_if_it_asked() -> None:
    logits = random_logits(4, 1)
    wanted = [3, None, None, 1]
    results = launch(logits, [Draw.of(Sampling(logprobs=most)) for most in wanted])
    for row, most in enumerate(wanted):
        expected = scored(logits, logits.argmax(dim=-1).tolist(), [most] * 4)[row] if most else None
        assert results[row] == (expected or int(logits[row].argmax()))


def test_scores_are_of_the_raw_logits_whatever_the_draw_makes_of_them() -> None:
    logits = random_logits(4, 2)
    asked = Sampling(logprobs=2, temperature=1.7, top_k=5, top_p=0.8, min_p=0.1, seed=3)
    for row, result in enumerate(launch(logits, [Draw.of(asked)] * 4)):
        assert isinstance(result, Scored)
        assert result.logprob == pytest.approx(float(logits[row].log_softmax(dim=-1)[result.token]))
        assert result.top[0][1] == pytest.approx(float(logits[row].log_softmax(dim=-1).max()))


def test_a_broken_row_has_no_scores_and_its_neighbours_have() -> None:
    logits = random_logits(4, 3)
    logits[1, 5] = math.nan
    results = launch(logits, [Draw.of(Sampling(logprobs=2))] * 4)
    assert results[1] == BROKEN
    assert [isinstance(result, Scored) for result in results] == [True, False, True, True]
