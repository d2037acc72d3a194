"""Counts what an engine does, for its `metrics`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock

from core.observing.histograms import FIRST_TOKEN_S, TOKEN_S, Histogram, Tally

RECENT_REQUESTS = 512
RATE_WINDOW_S = 10
"""Tokens per second are an average over so many whole seconds, or fewer where the engine is younger."""


class Meter:
    """Written by the loop, read from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._started = clock()
        self._tokens = 0
        self._preemptions = 0
        self._by_second: deque[tuple[int, int]] = deque(maxlen=RATE_WINDOW_S + 1)
        self._first_token_s: deque[float] = deque(maxlen=RECENT_REQUESTS)
        self._token_s: deque[float] = deque(maxlen=RECENT_REQUESTS)
        self._all_first_token_s = Tally(FIRST_TOKEN_S)
        self._all_token_s = Tally(TOKEN_S)

    @property
    def tokens(self) -> int:
        return self._tokens

    @property
    def preemptions(self) -> int:
        return self._preemptions

    def count_tokens(self, count: int) -> None:
        """Of one step."""
        second = int(self._clock())
        with self._lock:
            self._tokens += count
            before = self._by_second.pop()[1] if self._by_second and self._by_second[-1][0] == second else 0
            self._by_second.append((second, before + count))

    def count_preemptions(self, count: int) -> None:
        with self._lock:
            self._preemptions += count

    def note_request(self, *, first_token_s: float | None, token_s: float | None) -> None:
        """One that has ended; None for what it did not live to see."""
        with self._lock:
            if first_token_s is not None:
                self._first_token_s.append(first_token_s)
                self._all_first_token_s.note(first_token_s)
            if token_s is not None:
                self._token_s.append(token_s)
                self._all_token_s.note(token_s)

    def tokens_per_s(self) -> float:
        """Over the last whole seconds, without the one that is passing."""
        now = self._clock()
        second = int(now)
        with self._lock:
            lately = sum(count for then, count in self._by_second if second - RATE_WINDOW_S <= then < second)
        return lately / min(RATE_WINDOW_S, max(1.0, now - self._started))

    def first_token_s(self, quantile: float) -> float | None:
        with self._lock:
            return _quantile(self._first_token_s, quantile)

    def token_s(self, quantile: float) -> float | None:
        with self._lock:
            return _quantile(self._token_s, quantile)

    def histograms(self) -> tuple[Histogram, Histogram]:
        """Of all requests: until the first token, and between two tokens."""
        with self._lock:
            return self._all_first_token_s.snapshot(), self._all_token_s.snapshot()


def _quantile(values: Iterable[float], quantile: float) -> float | None:
    """The smallest value that so many are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else None
