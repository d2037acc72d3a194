"""Who runs and who waits: first come, first served, over a fixed number of slots; knows no threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ensemble.engine.sequence import Sequence


class Scheduler:
    """`running` holds at most `slots` sequences, in order of admission; the rest wait in order of arrival."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def enqueue(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def everyone(self) -> list[Sequence]:
        return [*self.running, *self.waiting]

    def admit(self, takes_in: Callable[[Sequence], bool]) -> None:
        """Move waiting sequences into free slots, as long as `takes_in` finds room for the next one."""
        while self.waiting and len(self.running) < self._slots and takes_in(self.waiting[0]):
            self.running.append(self.waiting.popleft())

    def retire(self) -> list[Sequence]:
        """Drop finished sequences wherever they are; returns those that held a slot."""
        retired = [sequence for sequence in self.running if sequence.is_finished]
        self.running = [sequence for sequence in self.running if not sequence.is_finished]
        if any(sequence.is_finished for sequence in self.waiting):
            self.waiting = deque(sequence for sequence in self.waiting if not sequence.is_finished)
        return retired
