"""How the processes of Celery connect to Redis."""

from __future__ import annotations

from typing import Any

import kombu
from celery.app.amqp import AMQP
from redis.exceptions import ResponseError

RECONNECT_S = 1.0
"""Kombu's own pauses grow to 30 s: after a longer outage the queues would stand still for half a minute more."""


class Connection(kombu.Connection):  # type: ignore[misc,name-defined]
    """Tries again at a steady pace for as long as its owner wants to wait.

    A server that answers and takes no writes (its disk is full, its replica is away) is one to wait for, too: by
    kombu's own classes of errors a worker would end.
    """

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        return (*super().connection_errors, ResponseError)

    @property
    def recoverable_connection_errors(self) -> tuple[type[Exception], ...]:
        return (*super().recoverable_connection_errors, ResponseError)

    def _ensure_connection(  # noqa: PLR0917 -- kombu's own, which it also calls by position
        self,
        errback: Any = None,
        max_retries: int | None = None,
        interval_start: float = 2,
        interval_step: float = 2,
        interval_max: float = 30,
        *others: Any,
        **options: Any,
    ) -> Any:
        paces = (min(each, RECONNECT_S) for each in (interval_start, interval_step, interval_max))
        return super()._ensure_connection(errback, max_retries, *paces, *others, **options)


class Broker(AMQP):  # type: ignore[misc]
    Connection = Connection
