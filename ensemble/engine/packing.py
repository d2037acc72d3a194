"""Pieces of several prompts as one row of tokens, and the map to blocks of equal length in which they are scanned.

Linear maps see only real tokens. Scans see blocks of `block` places; the last block of a prompt's piece may have
places left over, which stay empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ensemble.engine.network import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """All tensors are int64 on one device."""

    block: int
    tokens: Tensor  # (tokens,): their ids
    slots: Tensor  # (rows,): one row per chunk
    starts: Tensor  # (rows,): position of the row's first token
    ends: Tensor  # (rows,): position after its last token
    lasts: Tensor  # (rows,): where its last token is packed
    row_blocks: Tensor  # (rows + 1,): the row's blocks are those from this number on
    block_rows: Tensor  # (blocks,): the row of each block
    block_offsets: Tensor  # (blocks,): place of its first token within the row
    block_firsts: Tensor  # (blocks,): where its first token is packed
    block_counts: Tensor  # (blocks,): how many of its places hold a token
    tail_tokens: Tensor  # (tails,): where each row's last tokens are packed, as many as a convolution looks back
    tail_places: Tensor  # (tails,): slot * width + position % width of each

    @property
    def blocks(self) -> int:
        return self.block_rows.numel()


def pack(chunks: Sequence[Chunk], *, block: int, width: int, device: torch.device) -> Packing:
    """Lay out chunks for a scan in blocks and a convolution of `width`; one copy to the device."""
    columns: dict[str, list[int]] = {
        name: [] for name in Packing.__dataclass_fields__ if name not in {"block", "row_blocks"}
    }
    columns["row_blocks"] = [0]
    for row, chunk in enumerate(chunks):
        first, length = len(columns["tokens"]), len(chunk.tokens)
        offsets = range(0, length, block)
        columns["tokens"] += chunk.tokens
        columns["slots"].append(chunk.slot)
        columns["starts"].append(chunk.start)
        columns["ends"].append(chunk.start + length)
        columns["lasts"].append(first + length - 1)
        columns["row_blocks"].append(columns["row_blocks"][-1] + len(offsets))
        columns["block_rows"] += [row] * len(offsets)
        columns["block_offsets"] += offsets
        columns["block_firsts"] += [first + offset for offset in offsets]
        columns["block_counts"] += [min(block, length - offset) for offset in offsets]
        tail = range(max(0, length - width), length)
        columns["tail_tokens"] += [first + offset for offset in tail]
        columns["tail_places"] += [chunk.slot * width + (chunk.start + offset) % width for offset in tail]
    together = torch.tensor([value for column in columns.values() for value in column]).to(device)
    parts = together.split([len(column) for column in columns.values()])
    return Packing(block=block, **dict(zip(columns, parts, strict=True)))
