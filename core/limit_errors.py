"""Errors of limits: of one caller's, and of the installation's."""

from __future__ import annotations

from core.errors import MathcodeError, Unavailable


class QueueFull(Unavailable):
    """As many jobs wait as the installation lets wait."""

    code = "queue_full"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LimitReached(MathcodeError):
    """The caller's own limit; `retry_after_s` says when it may be worth trying again, if soon."""

    code = "limit_reached"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(LimitReached):
    """More requests or tokens in a short time than the key may ask for."""

    code = "rate_limit_exceeded"


class KeyQueueFull(LimitReached):
    """As many jobs of the key wait as it may let wait."""

    code = "queue_limit_exceeded"


class DailyTokensSpent(LimitReached):
    """The key's tokens of this day, by UTC, are used up."""

    code = "daily_tokens_exceeded"
