"""A text as numpy sees it: one pass over its bytes from which tokens and figures follow. Knows no language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

SPACE, WORD, SIGN = 0, 1, 2  # bytes beyond ASCII are parts of words


def _table() -> npt.NDArray[np.uint8]:
    table = np.full(256, WORD, np.uint8)
    for code in range(128):
        if code <= 32 or code == 127:
            table[code] = SPACE
        elif not (chr(code).isalnum() or chr(code) == "_"):
            table[code] = SIGN
    return table


_CLASSES = _table()
_IS_DIGIT = np.array([48 <= code < 58 for code in range(256)])
_IS_LETTER = np.array([chr(code).isalpha() and code < 128 for code in range(256)])


@dataclass(frozen=True)
class ByteClasses:
    """The bytes of one file; everything derived is computed once, when asked for."""

    data: bytes

    @cached_property
    def codes(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.data, np.uint8)

    @cached_property
    def classes(self) -> npt.NDArray[np.uint8]:
        return _CLASSES[self.codes]

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How often each of the 256 byte values occurs."""
        return np.bincount(self.codes, minlength=256).astype(np.int64)

    @property
    def digits(self) -> int:
        return int(self.counts[_IS_DIGIT].sum())

    @property
    def letters(self) -> int:
        return int(self.counts[_IS_LETTER].sum())

    @property
    def spaces(self) -> int:
        return int(self.counts[_CLASSES == SPACE].sum())

    @property
    def entropy_bits(self) -> float:
        """Bits per byte."""
        counts = self.counts[self.counts > 0]
        shares = counts / counts.sum()
        return float(-(shares * np.log2(shares)).sum())

    @cached_property
    def line_lengths(self) -> Places:
        """Bytes of each line, line feeds not counted."""
        ends = np.flatnonzero(self.codes == 10)
        edges = np.concatenate([[-1], ends, [len(self.codes)]])
        return np.diff(edges) - 1

    @cached_property
    def token_bounds(self) -> tuple[Places, Places]:
        """Where tokens begin and end: runs of word characters, and every sign for itself."""
        classes = self.classes
        is_inside = np.zeros(len(classes) + 1, np.bool_)  # between two word characters
        is_inside[1:-1] = (classes[1:] == WORD) & (classes[:-1] == WORD)
        is_text = classes != SPACE
        starts = np.flatnonzero(is_text & ~is_inside[:-1])
        ends = np.flatnonzero(is_text & ~is_inside[1:]) + 1
        return starts, ends

    def random_looking(self, *, shortest: int) -> Places:
        """Where runs of letters, digits, `-` and `_` begin that are so long and have letters and three digits."""
        is_run = (self.classes == WORD) | (self.codes == 45)
        edges = np.flatnonzero(np.diff(is_run.astype(np.int8), prepend=0, append=0))
        starts, ends = edges[::2], edges[1::2]
        is_long = ends - starts >= shortest
        starts, ends = starts[is_long], ends[is_long]
        if not len(starts):
            return starts
        digits = np.concatenate([[0], np.cumsum(_IS_DIGIT[self.codes])])
        inside = digits[ends] - digits[starts]
        is_mixed: Flags = (inside >= 3) & (inside < ends - starts)
        return np.asarray(starts[is_mixed], np.intp)
