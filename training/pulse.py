"""The training worker's heartbeat: it says that the process lives, and keeps the lease of the run it is at."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Event, Lock, Thread

from core.errors import DatabaseUnavailable
from core.run_leases import RunClaim, RunLease

logger = logging.getLogger(__name__)


class StopReason(Enum):
    CANCELLED = auto()  # nobody wants the run any more
    STOPPING = auto()  # this process is stopping: another one goes on
    LOST = auto()  # the ledger gave the run to somebody else


@dataclass(slots=True)
class Hold:
    """A run being worked on; the first reason to stop counts."""

    claim: RunClaim
    stopped: Event = field(default_factory=Event)
    reason: StopReason | None = None

    def stop(self, reason: StopReason) -> None:
        if self.reason is None:
            self.reason = reason
            self.stopped.set()


class Pulse:
    """Beats every `interval_s` seconds from `start` to `stop`."""

    def __init__(self, *, lease: RunLease, sign: Callable[[], None], interval_s: float) -> None:
        self._lease = lease
        self._sign = sign
        self._interval_s = interval_s
        self._lock = Lock()
        self._hold: Hold | None = None
        self._is_stopping = False
        self._ended = Event()
        self._thread = Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._sign()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(timeout=10)

    def begin_stop(self) -> None:
        """Have the run that is held, and every later one, handed back."""
        with self._lock:
            self._is_stopping = True
            if self._hold is not None:
                self._hold.stop(StopReason.STOPPING)

    @contextmanager
    def hold(self, claim: RunClaim) -> Iterator[Hold]:
        """Keep the lease of `claim` while the block runs."""
        hold = Hold(claim)
        with self._lock:
            if self._is_stopping:
                hold.stop(StopReason.STOPPING)
            self._hold = hold
        try:
            yield hold
        finally:
            with self._lock:
                self._hold = None

    def renew(self, hold: Hold) -> None:
        """Keep the lease, and have the hold stopped where the ledger says so. Raises DatabaseUnavailable."""
        shall_go_on = self._lease.renew(hold.claim)
        if not shall_go_on:
            hold.stop(StopReason.LOST if shall_go_on is None else StopReason.CANCELLED)

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self._beat()
            except DatabaseUnavailable as error:
                logger.warning("heartbeat missed: %s", error)
            except Exception:  # a pulse that stops would cost the run
                logger.exception("heartbeat failed")

    def _beat(self) -> None:
        with self._lock:
            hold = self._hold
        if hold is not None:
            self.renew(hold)
        self._sign()
