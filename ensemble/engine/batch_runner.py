"""Runs many sequences of one network together: prompts in chunks, one token for everybody in every step.

A step reads at most `prefill_tokens` of prompts beside the tokens that the others write, so that a long prompt
delays nobody by more than one such chunk.

Steps overlap: a step is launched on the device before the tokens of the one before are looked at, so that
delivering text costs no device time. Drawn tokens stay on the device, where the next step finds them, and are
copied to the host once. A sequence that ends by its own token has then written one too many, which is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.messages import Sampling
from ensemble.engine.batch_sampling import BROKEN, Draw
from ensemble.engine.drawing import Drawer, Drawn
from ensemble.engine.launched import Launched
from ensemble.engine.network import Chunk, SlotNetwork
from ensemble.engine.penalties import PenaltyMemory
from ensemble.engine.runner import OutOfMemory, Result, Scored
from ensemble.engine.transfer import to_device

PREFILL_TOKENS = 4096
_WARM_UP_TOKENS = 40


class LogitsBroken(ArithmeticError):
    """The model produced values that are no numbers; no token can be drawn from them."""


@dataclass(slots=True, eq=False)
class Row:
    """One sequence: `read` tokens of `prompt` are in the network, `drawn` of at most `max_tokens` were drawn.

    `prompt` ends with what was drawn before the sequence lost a slot; its answer begins at position `begins`.
    """

    slot: int
    prompt: Sequence[int]
    draw: Draw
    max_tokens: int
    begins: int
    drawn: int
    read: int = 0

    @property
    def is_reading(self) -> bool:
        return self.read < len(self.prompt)


class BatchRunner:
    """Runs a `SlotNetwork`. A token is returned by the step after the one that draws it."""

    def __init__(self, network: SlotNetwork, *, prefill_tokens: int = PREFILL_TOKENS) -> None:
        self.network = network
        self._device = network.device
        self._prefill_tokens = max(prefill_tokens, network.chunk_multiple)
        self._free = list(reversed(range(network.slots)))
        self._last = torch.zeros(network.slots, dtype=torch.int64, device=network.device)  # by slot
        self._penalties = PenaltyMemory(network.slots, network.device)
        self._writers = Writers([], self._penalties, network.device)
        self._launched: Launched | None = None

    def admit(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_tokens: int,
        written: Sequence[int] = (),
        place: int | None = None,
    ) -> Row | None:
        """Take one sequence in, or None while memory for it is lacking."""
        if not self._free or not self.network.open(self._free[-1], len(prompt) + max_tokens, place=place):
            return None
        return Row(
            slot=self._free.pop(),
            prompt=[*prompt, *written],
            draw=Draw.of(sampling),
            max_tokens=max_tokens,
            begins=len(prompt),
            drawn=len(written),
        )

    def release(self, state: Row) -> None:
        """Free the slot; a step still under way for it comes before whatever the next sequence does there."""
        self.network.close(state.slot)
        self._free.append(state.slot)

    @torch.inference_mode()
    def step(self, batch: Sequence[Row]) -> list[Result]:
        """The next token of each row; None where none was drawn by the step before. Raises OutOfMemory."""
        former = self._launched
        is_lacking = not self._launch(batch)
        tokens = former.by_row() if former is not None else {}
        results = [_result(tokens.get(row)) for row in batch]
        if is_lacking:
            raise OutOfMemory(results)
        return results

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Read prompts and write tokens, so that kernels are compiled and graphs captured before any request.

        Raises LogitsBroken where the network gives no numbers.
        """
        for length in (1, _WARM_UP_TOKENS):
            row = self.admit(range(1, length + 1), Sampling(), max_tokens=2)
            if row is None:
                continue
            for _ in range(row.max_tokens + 1):
                (token,) = self.step([row])
                if isinstance(token, Exception):
                    raise token
            self.release(row)
        self.network.warm_up()

    def _launch(self, batch: Sequence[Row]) -> bool:
        """Queue a step on the device; false where it does not fit, and then no row can be relied on."""
        writers = [row for row in batch if not row.is_reading and row.drawn < row.max_tokens]
        readers = [row for row in batch if row.is_reading]
        try:
            self._launched = self._launch_both(writers, readers)
        except torch.OutOfMemoryError:
            self._launched = None
            self._writers = Writers([], self._penalties, self._device)
            return False
        return True

    def _launch_both(self, writers: list[Row], readers: list[Row]) -> Launched | None:
        """None if the step draws nothing."""
        parts = [self._write(writers)] if writers else []
        begun = self._read(readers, parts)
        rows = writers + begun
        for row in rows:
            row.drawn += 1
        return Launched.of(rows, parts) if rows else None

    def _write(self, rows: list[Row]) -> Drawn:
        """One token further for rows whose prompt is read."""
        if self._writers.rows != rows:
            self._writers = Writers(rows, self._penalties, self._device)
        writers = self._writers
        logits = self.network.decode(writers.slots, self._last[writers.slots], writers.positions)
        drawn = writers.drawer.draw(logits, writers.steps)
        writers.advance()
        return self._keep(writers.slots, drawn)

    def _read(self, rows: list[Row], drawn: list[Drawn]) -> list[Row]:
        """A chunk of the oldest unread prompts; the rows whose prompt is complete, their tokens into `drawn`."""
        chunks = self._plan(rows)
        logits = self.network.prefill(chunks) if chunks else torch.empty(0)
        complete = [index for index, row in enumerate(rows[: len(chunks)]) if not row.is_reading]
        begun = [rows[index] for index in complete]
        if begun:
            self._begin_penalties(begun, vocabulary=logits.shape[-1])
            first = Writers(begun, self._penalties, self._device)
            drawn.append(self._keep(first.slots, first.drawer.draw(_picked(logits, complete), first.steps)))
        return begun

    def _begin_penalties(self, rows: list[Row], *, vocabulary: int) -> None:
        for row in rows:
            if row.draw.penalties is not None:
                own, written = row.prompt[: row.begins], row.prompt[row.begins :]
                self._penalties.begin(row.slot, own, written, vocabulary=vocabulary)

    def _keep(self, slots: Tensor, drawn: Drawn) -> Drawn:
        """Remember the tokens for the next step; BROKEN ones become harmless, their rows will leave."""
        self._last[slots] = drawn.tokens.clamp_min(0)
        return drawn

    def _plan(self, rows: list[Row]) -> list[Chunk]:
        """Chunks for the first of `rows`, within the budget; marks their tokens as read."""
        chunks: list[Chunk] = []
        budget = self._prefill_tokens
        for row in rows:
            end = min(len(row.prompt), row.read + budget)
            if end < len(row.prompt):
                end -= end % self.network.chunk_multiple
            if end <= row.read:
                break
            chunks.append(Chunk(row.slot, row.read, row.prompt[row.read : end]))
            budget -= end - row.read
            row.read = end
        return chunks


class Writers:
    """A fixed set of rows as tensors (n,) on the device; `advance` moves all of them one token on."""

    def __init__(self, rows: list[Row], memory: PenaltyMemory, device: torch.device) -> None:
        self.rows = rows
        columns = [(row.slot, row.begins + row.drawn - 1, row.drawn) for row in rows]
        self.slots, self.positions, self.steps = (
            to_device([column[part] for column in columns], torch.int64, device) for part in range(3)
        )
        self.drawer = Drawer([row.draw for row in rows], self.slots, memory)

    def advance(self) -> None:
        self.positions += 1
        self.steps += 1


def _picked(logits: Tensor, rows: list[int]) -> Tensor:
    """Only these of its rows."""
    return logits if len(rows) == len(logits) else logits[to_device(rows, torch.int64, logits.device)]


def _result(token: int | Scored | None) -> Result:
    return LogitsBroken("its logits are not finite numbers") if token == BROKEN else token
