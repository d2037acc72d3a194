"""Runs many sequences of one network together: prompts in chunks, one token for everybody in every step.

A step reads at most `prefill_tokens` of prompts beside the tokens that the others write, so that a long prompt
delays nobody by more than one such chunk. Token ids are copied to the host once per step; while the same rows go
on writing, all else stays on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.messages import Sampling
from ensemble.engine.batch_sampling import BROKEN, BatchSampler, Draw
from ensemble.engine.network import Chunk, SlotNetwork

PREFILL_TOKENS = 4096
_WARM_UP_TOKENS = 40


class LogitsBroken(ArithmeticError):
    """The model produced values that are no numbers; no token can be drawn from them."""


@dataclass(slots=True, eq=False)
class Row:
    """One sequence: `read` of its prompt's tokens are in the network, `drawn` tokens were drawn, `token` last."""

    slot: int
    prompt: Sequence[int]
    draw: Draw
    read: int = 0
    drawn: int = 0
    token: int = BROKEN

    @property
    def is_reading(self) -> bool:
        return self.read < len(self.prompt)


class BatchRunner:
    """The loop's runner over a `SlotNetwork`."""

    def __init__(
        self, network: SlotNetwork, *, chunk_multiple: int = 1, prefill_tokens: int = PREFILL_TOKENS
    ) -> None:
        self._network = network
        self._chunk_multiple = chunk_multiple
        self._prefill_tokens = max(prefill_tokens, chunk_multiple)
        self._free = list(reversed(range(network.slots)))
        self._writers = Writers([], network.device)

    def admit(self, prompt: Sequence[int], sampling: Sampling, *, max_tokens: int) -> Row | None:
        """Take one sequence in, or None while memory for it is lacking."""
        if not self._free or not self._network.open(self._free[-1], len(prompt) + max_tokens):
            return None
        return Row(self._free.pop(), prompt, Draw.of(sampling))

    def release(self, state: Row) -> None:
        self._network.close(state.slot)
        self._free.append(state.slot)

    @torch.inference_mode()
    def step(self, batch: Sequence[Row]) -> list[int | Exception | None]:
        """The next token of each row; None for one whose prompt is still being read."""
        writers = [row for row in batch if not row.is_reading]
        parts = [self._write(writers)] if writers else []
        begun, first = self._read([row for row in batch if row.is_reading])
        rows = writers + begun
        ids = torch.cat([*parts, first]).tolist() if begun or writers else []
        for row, token in zip(rows, ids, strict=True):
            row.token = token
            row.drawn += 1
        settled = {id(row) for row in rows}
        return [_result(row) if id(row) in settled else None for row in batch]

    def warm_up(self) -> None:
        """Read prompts and write tokens, so that kernels are compiled and graphs captured before any request.

        Raises LogitsBroken where the network gives no numbers.
        """
        for length in (1, _WARM_UP_TOKENS):
            row = self.admit(range(1, length + 1), Sampling(), max_tokens=2)
            if row is None:
                continue
            for token in (self.step([row])[0], self.step([row])[0]):
                if isinstance(token, Exception):
                    raise token
            self.release(row)
        self._network.warm_up()

    def _write(self, rows: list[Row]) -> Tensor:
        """One token further for rows whose prompt is read."""
        if self._writers.rows != rows:
            self._writers = Writers(rows, self._network.device)
        writers = self._writers
        logits = self._network.decode(writers.slots, writers.tokens, writers.positions)
        return writers.advance(writers.sampler.draw(logits, writers.steps))

    def _read(self, rows: list[Row]) -> tuple[list[Row], Tensor]:
        """A chunk of the oldest unread prompts; the rows whose prompt is complete now, and their first tokens."""
        chunks = self._plan(rows)
        if not chunks:
            return [], torch.empty(0, dtype=torch.int64, device=self._network.device)
        logits = self._network.prefill(chunks)
        complete = [index for index, row in enumerate(rows[: len(chunks)]) if not row.is_reading]
        begun = [rows[index] for index in complete]
        sampler = BatchSampler([row.draw for row in begun], self._network.device)
        steps = torch.zeros(len(begun), dtype=torch.int64, device=self._network.device)
        return begun, sampler.draw(logits[complete], steps)

    def _plan(self, rows: list[Row]) -> list[Chunk]:
        """Chunks for the first of `rows`, within the budget; marks their tokens as read."""
        chunks: list[Chunk] = []
        budget = self._prefill_tokens
        for row in rows:
            end = min(len(row.prompt), row.read + budget)
            if end < len(row.prompt):
                end -= end % self._chunk_multiple
            if end <= row.read:
                break
            chunks.append(Chunk(row.slot, row.read, row.prompt[row.read : end]))
            budget -= end - row.read
            row.read = end
        return chunks


class Writers:
    """A fixed set of writing rows as tensors (n,) on the device; `advance` moves all of them one token on."""

    def __init__(self, rows: list[Row], device: torch.device) -> None:
        self.rows = rows
        self.sampler = BatchSampler([row.draw for row in rows], device)
        columns = [(row.slot, row.token, len(row.prompt) + row.drawn - 1, row.drawn) for row in rows]
        table = torch.tensor(columns, dtype=torch.int64).reshape(-1, 4).T.contiguous().to(device)
        self.slots, self.tokens, self.positions, self.steps = table.unbind()

    def advance(self, tokens: Tensor) -> Tensor:
        self.tokens = tokens
        self.positions += 1
        self.steps += 1
        return tokens


def _result(row: Row) -> int | Exception:
    return LogitsBroken("its logits are not finite numbers") if row.token == BROKEN else row.token
