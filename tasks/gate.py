"""Who may submit now: each key within its limits, all of them within the installation's."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from threading import Lock

from core.errors import DatabaseUnavailable, InvalidRequest
from core.keys import ApiKey, KeyRing, Rate
from core.limit_errors import DailyTokensSpent, KeyQueueFull, QueueFull, RateLimited
from core.limits import LimitStore
from core.messages import GenerationRequest, ModelName

BYTES_PER_TOKEN = 4
SHORTEST_WAIT_S = 1.0
LONGEST_WAIT_S = 120.0
IDLE_WAIT_S = 60.0
"""Where nothing ended within the last minute, so that nothing can be computed."""
FRESH_S = 0.25


class Gate:
    """Asked before a job is written. `max_queued` bounds what waits in the whole installation. Thread-safe.

    Depths are exact up to the submissions that are under way at the same moment.
    """

    def __init__(self, *, keys: KeyRing, limits: LimitStore, max_queued: int, default_max_tokens: int) -> None:
        self._keys = keys
        self._limits = limits
        self._max_queued = max_queued
        self._default_max_tokens = default_max_tokens
        self._depth = _Depth(limits, at_most=max_queued)

    def admit(self, request: GenerationRequest, models: Sequence[ModelName], key_id: str | None) -> None:
        """Return if the job may be written now; the request has then been taken from the key's bucket.

        Raises LimitReached (the key's own limits), QueueFull (the installation's), InvalidRequest for what no
        waiting would let pass, or DatabaseUnavailable.
        """
        key = self._keys.get(key_id) if key_id is not None else None
        if key is not None:
            self._check_daily(key)
            self._check_depth(key)
        if self._depth.read() >= self._max_queued:
            raise QueueFull(
                f"{self._max_queued} jobs wait, the limit of this installation (MATHCODE_MAX_QUEUED): "
                "try again later",
                retry_after_s=self._time_for_one(None),
            )
        if key is not None:
            self._take(key, self._cost(request, models))
        self._depth.add()

    def admit_batch(self, key_id: str | None) -> None:
        """Return if a batch may be made now. Raises DailyTokensSpent or DatabaseUnavailable."""
        key = self._keys.get(key_id) if key_id is not None else None
        if key is not None:
            self._check_daily(key, in_batches=True)

    def _check_daily(self, key: ApiKey, *, in_batches: bool = False) -> None:
        """What batches use is counted apart, so that they take nothing from who asks meanwhile."""
        if key.limits.daily_tokens is None:
            return
        used, rest_s = self._limits.used_today(key.id, in_batches=in_batches)
        if used >= key.limits.daily_tokens:
            where = " in batches" if in_batches else ""
            raise DailyTokensSpent(
                f"the key {key.name} has used its {key.limits.daily_tokens} tokens of today{where}: "
                f"ask again after midnight UTC, in {int(rest_s / 60) + 1} minutes",
                retry_after_s=bounded(rest_s),
            )

    def _check_depth(self, key: ApiKey) -> None:
        """Without a bound of its own a key may fill half of the queue, so that none closes the door to all."""
        bound = key.limits.max_queued or max(1, self._max_queued // 2)
        if self._limits.queued(key.id, at_most=bound) >= bound:
            raise KeyQueueFull(
                f"{bound} jobs of the key {key.name} wait, its limit: wait for some to end, or submit a batch",
                retry_after_s=self._time_for_one(key.id),
            )

    def _take(self, key: ApiKey, tokens: int) -> None:
        limits = key.limits
        if limits.requests is None and limits.tokens is None:
            return
        if limits.tokens and tokens > limits.tokens.amount:
            raise InvalidRequest(
                f"prompt and max_tokens come to {tokens} tokens, but the key {key.name} may ask for "
                f"{limits.tokens.amount} per {limits.tokens.period_s} s: ask for fewer",
                param="max_tokens",
                code="tokens_over_rate",
            )
        if self._limits.take(key.id, limits, tokens=tokens):
            return
        level = self._limits.level(key.id, limits)
        waits = (_refill_s(limits.requests, 1, level.requests), _refill_s(limits.tokens, tokens, level.tokens))
        what, rate = ("requests", limits.requests) if waits[0] >= waits[1] else ("tokens", limits.tokens)
        allowed = f"{rate.amount} {what} per {rate.period_s} s" if rate else what
        raise RateLimited(
            f"the key {key.name} may ask for {allowed}: try again in {bounded(max(waits)):.0f} s",
            retry_after_s=bounded(max(waits)),
        )

    def _cost(self, request: GenerationRequest, models: Sequence[ModelName]) -> int:
        """What the request may use at most, the prompt guessed from its bytes."""
        told = (request.prompt, *(turn.content for turn in request.history))
        prompt = -(-sum(len(text.encode()) for text in told) // BYTES_PER_TOKEN)
        return len(models) * (prompt + (request.sampling.max_tokens or self._default_max_tokens))

    def _time_for_one(self, key_id: str | None) -> float:
        """When one more of these jobs should have ended, by how many did in the last minute."""
        per_s = self._limits.ended_per_s(key_id)
        return bounded(1 / per_s if per_s else IDLE_WAIT_S)


class _Depth:
    """How many jobs wait: counted a few times a second by one caller, and what was let in since."""

    def __init__(self, limits: LimitStore, *, at_most: int) -> None:
        self._limits = limits
        self._at_most = at_most
        self._lock = Lock()
        self._depth = 0
        self._fresh_until = 0.0
        self._failed_at = -math.inf

    def read(self) -> int:
        """Raises DatabaseUnavailable; to all who waited meanwhile at once, or each would wait for his own turn."""
        asked = time.monotonic()
        with self._lock:
            if self._failed_at >= asked:
                raise DatabaseUnavailable("PostgreSQL does not answer: try again later")
            if time.monotonic() >= self._fresh_until:
                self._depth = self._count()
                self._fresh_until = time.monotonic() + FRESH_S
            return self._depth

    def add(self) -> None:
        with self._lock:
            self._depth += 1

    def _count(self) -> int:
        try:
            return self._limits.queued(None, at_most=self._at_most)
        except DatabaseUnavailable:
            self._failed_at = time.monotonic()
            raise


def bounded(seconds: float) -> float:
    """A wait that clients respect: OpenAI's ignore what is beyond two minutes."""
    return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, seconds))


def _refill_s(rate: Rate | None, wanted: float, level: float) -> float:
    return max(0.0, wanted - level) / rate.per_s if rate else 0.0
