"""Who runs and who waits: first come, first served, over a number of slots; knows no threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ensemble.engine.sequence import Sequence


class Scheduler:
    """`running` holds at most `slots` sequences, in order of admission; the rest wait in order of arrival.

    After `preempt` only half as many as ran may run; every sequence that ends makes room for one more.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._limit = slots
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def enqueue(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def everyone(self) -> list[Sequence]:
        return [*self.running, *self.waiting]

    def admit(self, takes_in: Callable[[Sequence], bool]) -> None:
        """Move waiting sequences into free slots, as long as `takes_in` finds room for the next one."""
        while self.waiting and len(self.running) < self._limit and takes_in(self.waiting[0]):
            self.running.append(self.waiting.popleft())

    def retire(self) -> list[Sequence]:
        """Drop finished sequences wherever they are; returns them."""
        retired = [sequence for sequence in self.everyone() if sequence.is_finished]
        if retired:
            self.running = [sequence for sequence in self.running if not sequence.is_finished]
            self.waiting = deque(sequence for sequence in self.waiting if not sequence.is_finished)
            self._limit = min(self._slots, self._limit + len(retired))
        return retired

    def put_back(self) -> list[Sequence]:
        """Take the slots of all that run, who wait again before the others; returns them."""
        back, self.running = self.running, []
        self.waiting.extendleft(reversed(back))
        return back

    def preempt(self) -> list[Sequence]:
        """As `put_back`, and let only the older half begin again."""
        self._limit = max(1, len(self.running) // 2)
        return self.put_back()
