"""The heartbeat: one thread that keeps this process's leases and says that it lives."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from threading import Event, Thread

from core.errors import DatabaseUnavailable
from core.leases import LeaseStore
from tasks.running import Running

EX_SOFTWARE = 70
GAP = 2.5  # intervals without a beat after which leases of living workers may have run out

logger = logging.getLogger(__name__)


class Heart:
    """Beats every `interval_s` seconds until stopped; ends the process when its engine `is_broken`."""

    def __init__(
        self,
        *,
        leases: LeaseStore,
        running: Running,
        is_broken: Callable[[], bool],
        sign: Callable[[], None],
        interval_s: float,
    ) -> None:
        self._leases = leases
        self._running = running
        self._is_broken = is_broken
        self._sign = sign
        self._interval_s = interval_s
        self._last_beat = -math.inf
        self._steady_since = math.inf
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def beat(self) -> None:
        """Renew every lease, stop what was lost or cancelled, sign the roster. Raises DatabaseUnavailable."""
        claims = self._running.claims()
        if claims:
            renewals = {(r.job_id, r.model): r for r in self._leases.renew(claims)}
            for claim in claims:
                renewal = renewals.get((claim.job_id, claim.model))
                if renewal is None:
                    self._running.lose(claim)
                elif renewal.cancel_requested:
                    self._running.cancel(claim.job_id)
        self._sign()
        self._note_beat()

    def is_steady(self) -> bool:
        """Whether beats have reached the ledger without a gap, and one more than just now."""
        now = time.monotonic()
        return now - self._last_beat < GAP * self._interval_s and now - self._steady_since >= self._interval_s

    def _note_beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat >= GAP * self._interval_s:
            self._steady_since = now
        self._last_beat = now

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            if self._is_broken():
                logger.critical("the engine broke: this process ends, its jobs run again elsewhere")
                os._exit(EX_SOFTWARE)
            try:
                self.beat()
            except DatabaseUnavailable as error:
                logger.warning("heartbeat missed: %s", error)
            except Exception:  # a heart that stops would cost every answer of this process
                logger.exception("heartbeat failed")
