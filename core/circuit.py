"""Not asking what does not answer: a server that is away costs one caller a timeout, and not every caller one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Circuit:
    """After a failure nobody tries for `pause_s` seconds, then one caller at a time does. Thread-safe."""

    def __init__(self, *, pause_s: float) -> None:
        self._pause_s = pause_s
        self._silent_until = 0.0
        self._is_doubtful = False
        self._trial = Lock()

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Whether to try now. What the block raises is a failure, and passes through."""
        if not self._is_doubtful:
            with self._noted():
                yield True
        elif time.monotonic() < self._silent_until or not self._trial.acquire(blocking=False):
            yield False
        else:
            try:
                with self._noted():
                    yield True
            finally:
                self._trial.release()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._silent_until = time.monotonic() + self._pause_s
            self._is_doubtful = True
            raise
        self._is_doubtful = False
