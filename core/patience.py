"""Waiting for PostgreSQL with a bound, also for one that is there and silent: frozen, or cut off without a word.

A server that is gone is noticed by the kernel, at once or after its keep-alives. One that is frozen behind an open
connection would be waited for without end, by every thread that asks. psycopg2 hands each of its waits to a
function of ours, which gives up; psycopg2 then closes the connection, since answers could not be told apart.
"""

from __future__ import annotations

import select
import time
from typing import Any

import psycopg2
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    POLL_WRITE,
    STATUS_SETUP,
    connection,
    get_wait_callback,
    set_wait_callback,
)

CONNECT_S = 3.0
STATEMENT_S = 10.0
"""No statement of this project takes a tenth of it."""

_AWAITED = {POLL_READ: select.POLLIN, POLL_WRITE: select.POLLOUT}


class OutOfPatience(psycopg2.OperationalError):
    """The server was silent for too long; whether it did what it was asked is not known."""


class PatientConnection(connection):
    """`patience_s` bounds each statement, None does not; connecting has a bound of its own."""

    patience_s: float | None = STATEMENT_S


def patient(seconds: float) -> type[PatientConnection]:
    """For psycopg2's `connection_factory`: connections whose statements are waited for so long."""

    class Patient(PatientConnection):
        patience_s = seconds

    return Patient


def be_patient() -> None:
    """Have every `PatientConnection` of this process wait by these rules, and others as psycopg2 does."""
    if get_wait_callback() is not _wait:
        set_wait_callback(_wait)


def _wait(waiting: connection) -> None:
    limit = _limit(waiting)
    deadline = None if limit is None else time.monotonic() + limit
    while (state := waiting.poll()) != POLL_OK:
        left_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not _is_ready(waiting, state, left_ms):
            raise OutOfPatience(f"silent for {limit:g} s")


def _limit(waiting: connection) -> float | None:
    if not isinstance(waiting, PatientConnection):
        return None
    return CONNECT_S if waiting.status == STATUS_SETUP else waiting.patience_s


def _is_ready(waiting: connection, state: int, left_ms: float | None) -> bool:
    poller: Any = select.poll()  # not select(), which ends at 1,024 files
    poller.register(waiting.fileno(), _AWAITED[state])
    return bool(poller.poll(left_ms))
