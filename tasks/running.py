"""The completions this process is generating now, and why each should stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Event, Lock

from core.leases import Claim
from core.messages import ModelName


class StopReason(Enum):
    CANCELLED = auto()  # the caller wants it no more
    DRAINED = auto()  # this process is stopping: others shall do it
    LOST = auto()  # the ledger gave it to somebody else


@dataclass(slots=True)
class Held:
    """One claim being worked on; the first reason to stop counts."""

    claim: Claim
    stop: Event = field(default_factory=Event)
    reason: StopReason | None = None


class Running:
    """Thread-safe; one per process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[tuple[str, ModelName], Held] = {}
        self._is_draining = False
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing may begin here for now."""
        return self._is_closed

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[Held]:
        """Keep `claim` listed, and so its lease renewed, while the block runs."""
        held = Held(claim)
        key = (claim.job_id, claim.model)
        with self._lock:
            if (former := self._held.get(key)) is not None:
                _stop(former, StopReason.LOST)  # this process claimed again what it had been given up for
            self._held[key] = held
            if self._is_draining:
                _stop(held, StopReason.DRAINED)
        try:
            yield held
        finally:
            with self._lock:
                if self._held.get(key) is held:
                    del self._held[key]

    def claims(self) -> list[Claim]:
        with self._lock:
            return [held.claim for held in self._held.values()]

    def cancel(self, job_id: str) -> int:
        """Stop the completions of one job; returns how many ran here."""
        with self._lock:
            mine = [held for held in self._held.values() if held.claim.job_id == job_id]
            for held in mine:
                _stop(held, StopReason.CANCELLED)
        return len(mine)

    def lose(self, claim: Claim) -> None:
        """Stop a completion that belongs to another process now."""
        with self._lock:
            held = self._held.get((claim.job_id, claim.model))
            if held is not None and held.claim.attempt == claim.attempt:
                _stop(held, StopReason.LOST)

    def close(self) -> None:
        """Let nothing begin until `open`; what runs goes on."""
        self._is_closed = True

    def open(self) -> None:
        self._is_closed = False

    def hand_back(self) -> None:
        """Stop everything that runs; others shall do it."""
        with self._lock:
            for held in self._held.values():
                _stop(held, StopReason.DRAINED)

    def drain(self) -> None:
        """Stop everything that runs and whatever still begins."""
        with self._lock:
            self._is_draining = True
            for held in self._held.values():
                _stop(held, StopReason.DRAINED)


def _stop(held: Held, reason: StopReason) -> None:
    if held.reason is None:
        held.reason = reason
        held.stop.set()
