"""Submitting from a view: the caller's key, its Idempotency-Key, and its wish to wait rather than be refused."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event

from flask import request

from api import access_log, decisions
from api.callers import caller, origin
from api.channel import ON_DISCONNECT
from api.services import services
from core.errors import InvalidRequest, TooManyStreams
from core.idempotency import Once
from core.limit_errors import DailyTokensSpent, LimitReached, QueueFull
from core.messages import GenerationRequest
from tasks.submit import Submitted

REPLAYED = {"Idempotent-Replayed": "true"}
SUBMISSION_HEADERS = {
    "Idempotency-Key": "The same key and body give the same job for 24 hours",
    "Prefer": "`wait=N`: wait up to N seconds rather than be refused by a limit",
}
"""For the OpenAPI document: header of a submission -> what it does."""
LONGEST_KEY = 255
PAUSE_S = 0.25

_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


def submit(
    asked: GenerationRequest,
    *,
    once: Once | None,
    wait_s: float | None = None,
    is_seated: bool = False,
    webhook_url: str | None = None,
) -> Submitted:
    """Submit for the current request's caller, `once` as `read_once` gave it.

    Refusals by a limit are waited out for `wait_s` seconds, or what `Prefer: wait=` says, but not beyond
    MATHCODE_MAX_WAIT_S; `is_seated` says that the request has a seat to wait in. Raises what
    `Submitter.submit_once` raises.
    """
    submitter, source = services().submitter, replace(origin(), webhook_url=webhook_url)

    def attempt() -> Submitted:
        if once is None:
            return Submitted(submitter.submit(asked, source), is_replayed=False)
        return submitter.submit_once(asked, source, once=once)

    wished_s = read_wait() if wait_s is None else wait_s
    patience_s = min(wished_s, services().settings.max_wait_s)
    submitted = _patiently(attempt, patience_s, is_seated=is_seated)
    decisions.remember(submitted.job.route)
    if not submitted.is_replayed:
        access_log.remember(submitted.job.id)
    return submitted


def read_once() -> Once | None:
    """The current request's Idempotency-Key, which stands for its path and body, byte for byte."""
    key = read_key()
    if key is None:
        return None
    asked = request.path.encode() + b"\0" + request.get_data()
    return Once(scope=caller().key_id or "", key=key, fingerprint=hashlib.sha256(asked).digest())


def read_key() -> str | None:
    """The current request's Idempotency-Key by itself. Raises InvalidRequest."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidRequest(
            f"Idempotency-Key must have 1 to {LONGEST_KEY} printable ASCII characters: send such a one",
            param="Idempotency-Key",
        )
    return key


def read_wait() -> float:
    """Seconds of `Prefer: wait=N`; a preference that cannot be read is ignored, as RFC 7240 has it."""
    match = _PREFER_WAIT.search(request.headers.get("Prefer", ""))
    return float(match[1]) if match else 0.0


def _patiently(attempt: Callable[[], Submitted], wait_s: float, *, is_seated: bool) -> Submitted:
    try:
        return attempt()
    except DailyTokensSpent:
        raise  # no wait here ends it
    except (LimitReached, QueueFull) as refusal:
        if wait_s <= 0:
            raise
        first = refusal
    end = time.monotonic() + wait_s
    if is_seated:
        return _try_until(attempt, first, end)
    try:
        seat = services().seats.take()
    except TooManyStreams:
        raise first from None
    try:
        return _try_until(attempt, first, end)
    finally:
        seat.leave()


def _try_until(attempt: Callable[[], Submitted], refusal: LimitReached | QueueFull, end: float) -> Submitted:
    """Try again until `end`, or until the client has hung up; then the last refusal is raised."""
    woken, is_gone = Event(), request.environ.get("waitress.client_disconnected", lambda: False)
    if watch := request.environ.get(ON_DISCONNECT):
        watch(woken.set)
    while (left_s := end - time.monotonic()) > 0:
        woken.wait(min(PAUSE_S, left_s))
        if is_gone():
            break
        woken.clear()
        try:
            return attempt()
        except DailyTokensSpent:
            raise
        except (LimitReached, QueueFull) as again:
            refusal = again
    raise refusal
