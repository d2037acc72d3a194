"""MinHash of a text: 256 permutations over the 5-grams of its tokens, and the 32 bands they are found by.

Two texts with the Jaccard similarity J agree in a permutation with probability J, in a band of eight with J**8; so
they meet in one of 32 bands with probability 1 - (1 - J**8)**32: 2 % at 0.4, 85 % at 0.7, 99.7 % at 0.8.
Constants must never change: bands lie in the database.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.ingest.byte_classes import ByteClasses

GRAM = 5
PERMUTATIONS = 256
BANDS = 32
ROWS = PERMUTATIONS // BANDS
THRESHOLD = 0.7
LEAST_GRAMS = 20  # texts with fewer are compared by their whole content only
BLOCK = 8  # permutations computed at once: the intermediate values stay in the processor's cache

Hashes = npt.NDArray[np.uint32]
_Words = npt.NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_STEP = np.uint64(0x94D049BB133111EB)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def _factors() -> tuple[Hashes, Hashes]:
    """Odd multipliers and summands modulo 2**32, from a fixed recurrence rather than a library's generator."""
    state, values = 0x853C49E6748FEA9B, []
    for _ in range(2 * PERMUTATIONS):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        values.append(state >> 32)
    factors = np.array(values, np.uint32)
    return factors[:PERMUTATIONS, None] | np.uint32(1), factors[PERMUTATIONS:, None]


_FACTORS, _SUMMANDS = _factors()


class Powers:
    """Powers of the base and of its inverse modulo 2**64, as many as the longest text needed so far."""

    def __init__(self) -> None:
        self._up = self._down = np.ones(1, np.uint64)

    def of(self, count: int) -> tuple[_Words, _Words]:
        if len(self._up) < count:
            exponents = 1 << (count - 1).bit_length()
            self._up, self._down = (_powers(base, exponents) for base in (_BASE, _INVERSE))
        return self._up[:count], self._down[:count]


def _powers(base: int, count: int) -> _Words:
    values = np.full(count, base, np.uint64)
    values[0] = 1
    return np.cumprod(values, dtype=np.uint64)


def shingles(classes: ByteClasses, powers: Powers) -> Hashes:
    """The distinct 5-grams of a text as 32-bit hashes, sorted; spaces and line ends do not matter."""
    tokens = _token_hashes(classes, powers)
    count = max(0, len(tokens) - GRAM + 1)
    grams = tokens[:count].copy()
    for offset in range(1, GRAM):
        grams *= _STEP
        grams += tokens[offset : offset + count]
    return np.unique((_mixed(grams) >> np.uint64(32)).astype(np.uint32))


def _token_hashes(classes: ByteClasses, powers: Powers) -> _Words:
    """A polynomial of each token's bytes modulo 2**64, from differences of one running sum."""
    starts, ends = classes.token_bounds
    up, down = powers.of(len(classes.codes) + 1)
    sums = np.zeros(len(classes.codes) + 1, np.uint64)
    np.cumsum((classes.codes.astype(np.uint64) + np.uint64(1)) * up[:-1], out=sums[1:])
    return _mixed((sums[ends] - sums[starts]) * down[starts])


def _mixed(values: _Words) -> _Words:
    values ^= values >> np.uint64(29)
    values *= _MIX
    values ^= values >> np.uint64(32)
    return values


def signature(grams: Hashes) -> Hashes:
    """The least hash under each permutation, 256 numbers; of no grams, all are the greatest."""
    least = np.full(PERMUTATIONS, 0xFFFFFFFF, np.uint32)
    if not len(grams):
        return least
    hashes = np.empty((BLOCK, len(grams)), np.uint32)
    for begin in range(0, PERMUTATIONS, BLOCK):
        block = slice(begin, begin + BLOCK)
        np.multiply(_FACTORS[block], grams, out=hashes)
        hashes += _SUMMANDS[block]
        hashes.min(axis=1, out=least[block])
    return least


def bands(least: Hashes) -> list[int]:
    """The 32 keys of a signature, as signed 64-bit integers; the number of the band is part of each."""
    rows = least.reshape(BANDS, ROWS).astype(np.uint64)
    keys = np.arange(1, BANDS + 1, dtype=np.uint64) * _STEP
    for row in range(ROWS):
        keys = _mixed((keys + rows[:, row]) * _STEP)
    return [int(key) for key in keys.view(np.int64)]


def similarity(left: Hashes, right: Hashes) -> float:
    """The estimated Jaccard similarity: standard deviation 0.03 at most."""
    return float((left == right).mean())
