"""Files become pieces, pieces become rows; pure arithmetic over lengths."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Sequence

MOST_SEGMENTS = 65_535  # they are stored in 16 bits


def cuts(length: int, row_tokens: int) -> Iterator[tuple[int, int]]:
    """Where pieces of a file of `length` tokens begin and end.

    A piece begins with its forerunner's last token, so that every token but the file's first is predicted once.
    """
    begin = 0
    while begin + 1 < length:
        end = min(begin + row_tokens, length)
        yield begin, end
        begin = end - 1


def pack(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Indices of pieces, row by row: the longest first, each into the fullest row that has room for it."""
    rows: list[list[int]] = []
    spaces: list[int] = []  # each that some row has, sorted
    rows_of: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(lengths)), key=lambda each: (-lengths[each], each)):
        at = bisect_left(spaces, lengths[index])
        space = spaces[at] if at < len(spaces) else row_tokens
        if at < len(spaces):
            row = rows_of[space].pop()
            if not rows_of[space]:
                del spaces[at]
        else:
            row = len(rows)
            rows.append([])
        rows[row].append(index)
        left = space - lengths[index]
        if left > 1 and len(rows[row]) < MOST_SEGMENTS:
            if not rows_of[left]:
                insort(spaces, left)
            rows_of[left].append(row)
    return rows
