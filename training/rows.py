"""Packed rows in the order in which a training reads them, and the targets of their tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.dataset import RowSet, Tokens, read_rows
from training.folder import RunFolder
from training.token_loss import IGNORED

Batch = dict[str, Tensor]
"""tokens int64, segments int32 and targets int64, (rows, row_tokens) each."""


@dataclass(frozen=True, slots=True)
class Rows(Dataset[tuple[Tokens, Tokens]]):
    """A set's rows, `epochs` times, each time in another order drawn from `seed`; a position means one row."""

    tokens: Tokens
    segments: Tokens
    order: Sequence[int]

    @classmethod
    def read(cls, folder: RunFolder, name: RowSet, *, epochs: int = 1, seed: int | None = None) -> Rows:
        """As they lie on disk where `seed` is None."""
        tokens, segments = read_rows(folder, name)
        order: list[int] = []
        for epoch in range(epochs):
            rows = list(range(len(tokens)))
            if seed is not None:
                random.Random(f"{seed}/epoch {epoch}").shuffle(rows)  # noqa: S311 - reproducible by intent
            order += rows
        return cls(tokens, segments, order)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> tuple[Tokens, Tokens]:
        row = self.order[position]
        return self.tokens[row], self.segments[row]

    def tokens_before(self, position: int) -> int:
        """Tokens of the rows before `position`, padding left out."""
        lengths = np.count_nonzero(self.segments, axis=1)
        return int(lengths[np.asarray(self.order[: max(0, position)], dtype=np.int64)].sum())

    def first(self, rows: int) -> Rows:
        """The first so many of them."""
        return Rows(self.tokens, self.segments, self.order[:rows])

    def batches(self, rows: int) -> Iterator[Batch]:
        for begin in range(0, len(self), rows):
            yield collate([self[position] for position in range(begin, min(begin + rows, len(self)))])


def collate(rows: Sequence[tuple[Tokens, Tokens]]) -> Batch:
    tokens = torch.from_numpy(np.stack([tokens for tokens, _ in rows]).astype(np.int64))
    segments = torch.from_numpy(np.stack([segments for _, segments in rows]).astype(np.int32))
    return {"tokens": tokens, "segments": segments, "targets": targets_of(tokens, segments)}


def targets_of(tokens: Tensor, segments: Tensor) -> Tensor:
    """The token after each, where it is of the same file; `IGNORED` at a file's last token and in padding."""
    targets = torch.full_like(tokens, IGNORED)
    follows = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
    targets[:, :-1] = torch.where(follows, tokens[:, 1:], IGNORED)
    return targets


def predicted(batch: Batch) -> int:
    """How many tokens of a batch are predicted."""
    return int((batch["targets"] != IGNORED).sum())
