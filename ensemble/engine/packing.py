"""Pieces of several prompts, packed end to end: linear maps see real tokens only, nothing is padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ensemble.engine.network import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """One row per chunk; all tensors are int64 on one device."""

    block: int  # a row is scanned in blocks of so many tokens
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


def pack(chunks: Sequence[Chunk], *, block: int, width: int, device: torch.device) -> Packing:
    """Lay out chunks for a scan in blocks and a convolution of `width`; one copy to the device."""
    firsts = [0, *accumulate(len(chunk.tokens) for chunk in chunks)]
    tails = [range(max(0, len(chunk.tokens) - width), len(chunk.tokens)) for chunk in chunks]
    columns = {
        "tokens": [token for chunk in chunks for token in chunk.tokens],
        "rows": [row for row, chunk in enumerate(chunks) for _ in chunk.tokens],
        "slots": [chunk.slot for chunk in chunks],
        "starts": [chunk.start for chunk in chunks],
        "ends": [chunk.start + len(chunk.tokens) for chunk in chunks],
        "firsts": firsts,
        "tail_tokens": [first + place for first, tail in zip(firsts, tails, strict=False) for place in tail],
        "tail_places": [
            chunk.slot * width + (chunk.start + place) % width
            for chunk, tail in zip(chunks, tails, strict=True)
            for place in tail
        ],
    }
    together = torch.tensor([value for column in columns.values() for value in column]).to(device)
    parts = together.split([len(column) for column in columns.values()])
    return Packing(block=block, **dict(zip(columns, parts, strict=True)))
