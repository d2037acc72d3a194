"""Whose batches a process advances at the same time: so that none of its threads is missing where others wait.

A look at a large batch takes seconds. What the light worker does beside, merging above all, must not
wait for it, nor one key's three lines for another's fifty thousand.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock


class Turns:
    """At most half of `threads` look at batches, and half of those at batches of one key. Thread-safe."""

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads // 2)
        self._most_of_key = max(1, self._most // 2)
        self._lock = Lock()
        self._looking = 0
        self._is_wanted = False
        self._keys = Counter[str | None]()

    def enter(self) -> bool:
        """Whether the caller may look. Where not, one of those that do looks once more."""
        with self._lock:
            if self._looking >= self._most:
                self._is_wanted = True
                return False
            self._looking += 1
            return True

    def leave(self) -> bool:
        """False, with the turn kept, where somebody wanted to look meanwhile: look once more."""
        with self._lock:
            if self._is_wanted:
                self._is_wanted = False
                return False
            self._looking -= 1
            return True

    def give_up(self) -> None:
        """Leave in any case."""
        with self._lock:
            self._looking -= 1

    def take(self, key_id: str | None) -> bool:
        """Whether a batch of this key may be advanced now; if so, `put_back` follows."""
        with self._lock:
            if self._keys[key_id] >= self._most_of_key:
                return False
            self._keys[key_id] += 1
            return True

    def put_back(self, key_id: str | None) -> None:
        with self._lock:
            self._keys[key_id] -= 1
            if not self._keys[key_id]:
                del self._keys[key_id]
