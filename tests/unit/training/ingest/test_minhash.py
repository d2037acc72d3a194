"""Laws of MinHash: estimates are near the truth, spaces do not matter, bands lie in the database for ever."""

from __future__ import annotations

import random

import numpy as np

from training.ingest.byte_classes import ByteClasses
from training.ingest.minhash import BANDS, PERMUTATIONS, Powers, bands, shingles, signature, similarity


def words(seed: int, count: int) -> list[str]:
    noise = random.Random(seed)  # noqa: S311
    return [f"name{noise.randrange(10**6)}" for _ in range(count)]


def grams(text: str) -> np.ndarray:
    return shingles(ByteClasses(text.encode()), Powers())


def test_the_estimate_is_near_the_true_similarity() -> None:
    first = words(1, 3000)
    for kept in (300, 1500, 2400, 2900):
        second = first[:kept] + words(2, 3000 - kept)
        left, right = grams(" ".join(first)), grams(" ".join(second))
        truth = len(np.intersect1d(left, right)) / len(np.union1d(left, right))
        assert abs(similarity(signature(left), signature(right)) - truth) < 0.12


def test_the_grams_are_those_of_tokens() -> None:
    text = "alpha+beta(gamma, delta_1)"
    assert len(grams(text)) == 4  # eight tokens
    assert grams("alpha + beta(\n\tgamma,\n delta_1 )").tolist() == grams(text).tolist()
    assert len(grams("a b c d")) == len(grams("")) == 0


def test_the_same_token_hashes_the_same_wherever_it_stands() -> None:
    repeated = "one two three four five " * 400
    assert len(grams(repeated)) == 5


def test_signature_and_bands_never_change() -> None:
    least = signature(grams(" ".join(words(3, 50))))
    keys = bands(least)
    assert (least.shape, len(keys), len(set(keys))) == ((PERMUTATIONS,), BANDS, BANDS)
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert (int(least[0]), int(least[-1]), keys[0], keys[-1]) == PINNED


PINNED = (21665234, 125561751, -5876401317914250784, 9121796497947769826)
