"""Prunes what has been kept long enough, piece by piece, so that no statement holds much for long."""

from __future__ import annotations

import logging
import time

from core.events import EventLog
from core.retention import FILES_PIECE, PIECE, RetentionStore

LONGEST_S = 10.0
"""One pass ends after this long; the next one goes on."""

logger = logging.getLogger(__name__)


class Janitor:
    def __init__(self, store: RetentionStore, events: EventLog, *, days: float) -> None:
        self._store = store
        self._events = events
        self._days = days

    def prune(self) -> int:
        """How many jobs were deleted; none where `days` is 0. Raises DatabaseUnavailable."""
        if self._days == 0:
            return 0
        stop, jobs = time.monotonic() + LONGEST_S, 0
        while time.monotonic() < stop:
            pruned = self._store.prune(days=self._days)
            self._events.forget(pruned)
            jobs += len(pruned)
            if len(pruned) < PIECE:
                break
        for more, piece in (
            (self._store.prune_batches, PIECE),
            (self._store.prune_files, FILES_PIECE),
            (self._store.prune_deliveries, PIECE),
        ):
            while time.monotonic() < stop and more(days=self._days) == piece:
                pass
        if jobs:
            logger.info("pruned %d jobs", jobs)
        return jobs
