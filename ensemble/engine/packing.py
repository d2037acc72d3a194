"""Pieces of several prompts, packed end to end: linear maps see real tokens only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ensemble.engine.network import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """One row per chunk; all tensors are int64 on one device."""

    tokens: Tensor  # (tokens,): their ids
    rows: Tensor  # (tokens,): the row of each
    slots: Tensor  # (rows,)
    starts: Tensor  # (rows,): position of the row's first token
    ends: Tensor  # (rows,): position after its last token
    firsts: Tensor  # (rows + 1,): a row's tokens are packed from here to the next row's
    tail_tokens: Tensor  # (tails,): where each row's last tokens are packed, as many as a convolution looks back
    tail_places: Tensor  # (tails,): slot * width + position % width of each

    @property
    def lasts(self) -> Tensor:
        """Where each row's last token is packed."""
        return self.firsts[1:] - 1


@dataclass(frozen=True, slots=True)
class Size:
    """A fixed size of packing: chunks are filled up to it with tokens of a slot that nobody uses."""

    tokens: int
    rows: int

    def holds(self, chunks: Sequence[Chunk]) -> bool:
        """Whether there is room, a row of filling included."""
        return len(chunks) < self.rows and sum(len(chunk.tokens) for chunk in chunks) <= self.tokens

    def fill(self, chunks: Sequence[Chunk], *, spare: int) -> list[Chunk]:
        missing = self.tokens - sum(len(chunk.tokens) for chunk in chunks)
        filling = Chunk(slot=spare, start=0, tokens=[0] * missing)
        nothing = Chunk(slot=spare, start=0, tokens=[])
        return [*chunks, filling, *[nothing] * (self.rows - len(chunks) - 1)]

    def tails(self, chunks: Sequence[Chunk], *, width: int, spare: int) -> list[tuple[int, int]]:
        """Tails of the filled chunks, filled up too."""
        tails = list(_tails(chunks, width))
        return [*tails, *[(0, spare * width)] * (self.rows * width - len(tails))]


def columns_of(
    chunks: Sequence[Chunk], *, width: int, size: Size | None = None, spare: int = -1
) -> dict[str, list[int]]:
    """What a `Packing` of chunks holds, for a convolution of `width`; filled up to `size` with slot `spare`."""
    tails = list(_tails(chunks, width))
    if size is not None:
        chunks = size.fill(chunks, spare=spare)
        tails = size.tails(chunks, width=width, spare=spare)
    return {
        "tokens": [token for chunk in chunks for token in chunk.tokens],
        "rows": [row for row, chunk in enumerate(chunks) for _ in chunk.tokens],
        "slots": [chunk.slot for chunk in chunks],
        "starts": [chunk.start for chunk in chunks],
        "ends": [chunk.start + len(chunk.tokens) for chunk in chunks],
        "firsts": [0, *accumulate(len(chunk.tokens) for chunk in chunks)],
        "tail_tokens": [token for token, _ in tails],
        "tail_places": [place for _, place in tails],
    }


def joined(columns: dict[str, list[int]]) -> Tensor:
    """All columns behind one another, for one copy to the device."""
    return torch.tensor([value for column in columns.values() for value in column])


def split(together: Tensor, columns: dict[str, list[int]]) -> Packing:
    """The packing whose columns lie behind one another in `together`, as views."""
    parts = torch.split(together, [len(column) for column in columns.values()])
    return Packing(**dict(zip(columns, parts, strict=True)))


def _tails(chunks: Sequence[Chunk], width: int) -> Iterator[tuple[int, int]]:
    """For each chunk's last `width` tokens: where the token is packed, and its place among all slots' taps."""
    first = 0
    for chunk in chunks:
        end = first + len(chunk.tokens)
        for token in range(max(first, end - width), end):
            yield token, chunk.slot * width + (chunk.start + token - first) % width
        first = end
