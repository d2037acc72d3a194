"""Who runs and who waits: by priority, then first come, first served, over slots; knows no threads."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from itertools import count

from ensemble.engine.sequence import Sequence


class Scheduler:
    """`running` holds at most `slots` sequences, in order of admission; the rest wait, the next one first.

    Nobody is overtaken by somebody of the same or of a lower priority, also not where memory lacks room for the
    first one only; and who waits again keeps the place of its first arrival. After `preempt` fewer may run;
    every sequence that ends makes room for one more.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._limit = slots
        self._arrivals = count()
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []

    def enqueue(self, sequence: Sequence) -> None:
        if sequence.arrival is None:
            sequence.arrival = next(self._arrivals)
        insort(self.waiting, sequence, key=lambda each: (each.work.priority.rank, each.arrival))

    def everyone(self) -> list[Sequence]:
        return [*self.running, *self.waiting]

    def admit(self, takes_in: Callable[[Sequence], bool]) -> None:
        """Move waiting sequences into free slots, as long as `takes_in` finds room for the next one."""
        while self.waiting and len(self.running) < self._limit and takes_in(self.waiting[0]):
            self.running.append(self.waiting.pop(0))

    def retire(self) -> list[Sequence]:
        """Drop finished sequences wherever they are; returns them."""
        retired = [sequence for sequence in self.everyone() if sequence.is_finished]
        if retired:
            self.running = [sequence for sequence in self.running if not sequence.is_finished]
            self.waiting = [sequence for sequence in self.waiting if not sequence.is_finished]
            self._limit = min(self._slots, self._limit + len(retired))
        return retired

    def put_back(self) -> list[Sequence]:
        """Take the slots of all that run, who wait again; returns them."""
        back, self.running = self.running, []
        for sequence in back:
            self.enqueue(sequence)
        return back

    def preempt(self, *, limit: int) -> list[Sequence]:
        """As `put_back`, and let only `limit` of them, but one at least, begin again."""
        self._limit = max(1, limit)
        return self.put_back()
