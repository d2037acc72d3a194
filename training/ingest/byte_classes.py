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
_KINDS = {
    "digits": np.array([float(48 <= code < 58) for code in range(256)]),
    "letters": np.array([float(code < 128 and chr(code).isalpha()) for code in range(256)]),
    "spaces": (_CLASSES == SPACE).astype(np.float64),
}


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

    def share(self, kind: str) -> float:
        """The part of them that is `digits`, `letters` or `spaces`."""
        return float(_KINDS[kind] @ self.counts) / len(self.data)

    @property
    def entropy_bits(self) -> float:
        """Bits per byte."""
        counts = self.counts[self.counts > 0]
        shares = counts / len(self.data)
        return float(-(shares @ np.log2(shares)))

    @cached_property
    def line_ends(self) -> Places:
        """Where the line feeds are, and where the text ends."""
        return np.append(np.flatnonzero(self.codes == 10), len(self.codes))

    @property
    def longest_line(self) -> int:
        """In bytes, the line feed counted."""
        return max(int(self.line_ends[0]), int(np.diff(self.line_ends).max(initial=0)))

    @property
    def mean_line(self) -> float:
        """In bytes, line feeds counted."""
        return len(self.codes) / len(self.line_ends)

    @cached_property
    def line_begins(self) -> Places:
        """Where each line that is not blank begins, behind its indentation."""
        text = np.flatnonzero(self.classes != SPACE)
        after = np.searchsorted(text, np.append(0, self.line_ends))
        return text[after[:-1][after[1:] > after[:-1]]]

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

    def random_looking(self, *, shortest: int) -> list[int]:
        """Where runs of letters, digits, `-` and `_` begin that are so long and have letters and three digits."""
        is_run = np.zeros(len(self.codes) + 2, np.bool_)
        np.logical_or(self.classes == WORD, self.codes == 45, out=is_run[1:-1])
        edges = np.flatnonzero(is_run[1:] != is_run[:-1])
        starts, ends = edges[::2], edges[1::2]
        is_long = ends - starts >= shortest
        runs = zip(starts[is_long].tolist(), ends[is_long].tolist(), strict=True)
        return [start for start, end in runs if 3 <= _digits(self.data[start:end]) < end - start]


def _digits(run: bytes) -> int:
    return len(run) - len(run.translate(None, b"0123456789"))
