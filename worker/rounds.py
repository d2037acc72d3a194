"""What a worker looks after while it serves, on a thread of its own: neither heart nor answers wait for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, Thread

from core.errors import Unavailable

CLOSE_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


class Rounds:
    """Calls each of `steps` every `interval_s` seconds until stopped, one after the other; failures are logged."""

    def __init__(self, steps: Sequence[Callable[[], None]], *, interval_s: float) -> None:
        self._steps = steps
        self._interval_s = interval_s
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="rounds", daemon=True)

    def start(self) -> None:
        if self._steps:
            self._thread.start()

    def stop(self) -> None:
        """Wait for the step that runs, for a while."""
        self._stopped.set()
        if self._steps:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            for step in self._steps:
                self._take(step)

    def _take(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Unavailable as error:
            logger.warning("put off to the next round: %s", error)
        except Exception:  # the other steps, and the next round, are still needed
            logger.exception("a step of the rounds failed")
