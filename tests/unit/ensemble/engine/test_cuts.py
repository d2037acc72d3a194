"""Laws of ruling out improbable tokens: one row at a time as transformers does it, whatever the others ask for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from transformers import LogitsProcessorList, MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from core.messages import Sampling
from ensemble.engine import plain_sampling
from ensemble.engine.cuts import BatchCut, Cut
from ensemble.engine.ranking import rank

CPU = torch.device("cpu")
VOCABULARY = 300
CUTS = st.fixed_dictionaries(
    {},
    optional={
        "top_k": st.integers(1, VOCABULARY + 50),
        "top_p": st.floats(0.01, 0.98),
        "min_p": st.floats(0.001, 1.0),
    },
).map(lambda given: Cut(**given))


def random_logits(rows: int, seed: int) -> Tensor:
    return 3 * torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def apply(logits: Tensor, cuts: list[Cut | None]) -> Tensor:
    return BatchCut(cuts, CPU).apply(logits)


def kept(cut: Cut, logits: list[float]) -> set[int]:
    (row,) = apply(torch.tensor([logits]), [cut])
    return set(row.isfinite().nonzero().flatten().tolist())


def by_transformers(logits: Tensor, cut: Cut) -> Tensor:
    warpers: list[Any] = [] if cut.top_k is None else [TopKLogitsWarper(cut.top_k)]
    warpers += [TopPLogitsWarper(cut.top_p)] if cut.top_p < 1.0 else []
    warpers += [MinPLogitsWarper(cut.min_p)] if cut.min_p > 0.0 else []
    result: Tensor = LogitsProcessorList(warpers)(torch.empty(1, 0), logits[None])
    return result[0]


def is_decided_by_rounding(logits: Tensor, cut: Cut) -> bool:
    """Whether a probability, or a sum of them, is as good as equal to a bound."""
    ordered = logits.double().sort(descending=True).values
    sums = ordered[: cut.top_k].softmax(dim=-1).cumsum(dim=-1)
    ratios = (ordered - ordered[0]).exp()[1:]
    is_near_top_p = cut.top_p < 1.0 and bool(((sums - cut.top_p).abs() < 1e-6).any())
    return is_near_top_p or bool(((ratios - cut.min_p).abs() < 1e-6 * cut.min_p).any())


@given(cuts=st.lists(CUTS, min_size=1, max_size=5), seed=st.integers(0, 10_000))
def test_every_row_is_cut_as_by_transformers(cuts: list[Cut], seed: int) -> None:
    logits = random_logits(len(cuts), seed)
    assume(not any(is_decided_by_rounding(row, cut) for row, cut in zip(logits, cuts, strict=True)))
    expected = [by_transformers(row, cut) for row, cut in zip(logits, cuts, strict=True)]
    assert torch.equal(apply(logits, list(cuts)), torch.stack(expected))


@given(cut=CUTS, seed=st.integers(0, 10_000))
def test_the_plain_cut_keeps_the_same_tokens(cut: Cut, seed: int) -> None:
    (row,) = random_logits(1, seed)
    assume(not is_decided_by_rounding(row, cut))
    sampling = Sampling(top_k=cut.top_k, top_p=cut.top_p, min_p=cut.min_p)
    assert plain_sampling.cut(dict(enumerate(row.tolist())), sampling).keys() == kept(cut, row.tolist())


@given(cuts=st.lists(st.none() | CUTS, min_size=2, max_size=5).filter(any), seed=st.integers(0, 10_000))
def test_a_rows_bits_do_not_depend_on_its_neighbours(cuts: list[Cut | None], seed: int) -> None:
    logits = random_logits(len(cuts), seed)
    together = apply(logits, cuts)
    for row, cut in enumerate(cuts):
        alone = logits[row] if cut is None else apply(logits[row : row + 1], [cut])[0]
        assert torch.equal(together[row], alone)


@pytest.mark.parametrize("count", range(1, 5))
def test_top_k_keeps_exactly_k_and_the_lower_of_equal_tokens(count: int) -> None:
    assert kept(Cut(top_k=count), [1.0, 2.0, 2.0, 2.0, 0.0]) == {1, 2, 3, 0} - set([0, 3, 2][: 4 - count])


def test_a_probability_far_beyond_all_others_is_no_obstacle() -> None:
    assert kept(Cut(top_k=3, top_p=0.999), [0.0, 1e6, 1.0, -1e6]) == {1}
    assert kept(Cut(top_p=0.999), [0.0, 1e6, 1.0, -1e6]) == {1}


def test_min_p_is_relative_to_the_most_probable_token() -> None:
    probabilities = [math.log(share) for share in (0.5, 0.26, 0.14, 0.1)]
    assert kept(Cut(min_p=0.5), probabilities) == {0, 1}
    assert kept(Cut(min_p=1.0), probabilities) == {0}
    assert kept(Cut(min_p=0.01), probabilities) == {0, 1, 2, 3}


VALUES = st.lists(st.sampled_from([-2.5, -0.0, 0.0, 1e-30, 1.0, 3e38, -3e38]), min_size=1, max_size=200)


@given(values=VALUES, data=st.data())
def test_a_ranking_is_a_stable_sort_whatever_is_asked_for(values: list[float], data: st.DataObject) -> None:
    row = torch.tensor([values])
    whole = row.sort(dim=-1, descending=True, stable=True).indices
    count = data.draw(st.integers(1, len(values)))
    assert rank(row, count).tolist() == whole[:, :count].tolist()
