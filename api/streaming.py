"""Following a job to its end: its events as they appear, from the reader of this process and from the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from api.follower import Follower
from api.formats.events import ANSWERED, KEEP_ALIVE, render_answer, render_event
from api.reader import Reader
from core.errors import DatabaseUnavailable, JobNotFound
from core.events import FROM_THE_START, Done, JobEvent, order_of
from core.jobs import JobStore
from core.messages import ModelName

PAUSE_S = 1.0
CANCEL_TRIES = 30
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nobody between here and the client may keep events, or keep them back, as nginx does by default."""

logger = logging.getLogger(__name__)

Item = tuple[str | None, JobEvent]
OnDisconnect = Callable[[Callable[[], None]], None]
"""Registers what is called, from any thread, when the client's connection is gone."""


def follow(
    job_id: str,
    *,
    after: str = FROM_THE_START,
    reader: Reader,
    keep_alive_s: float,
    on_disconnect: OnDisconnect | None = None,
) -> Iterator[Item | None]:
    """Yield (id, event) as events appear, None whenever there were none for `keep_alive_s` and at once when the
    client is gone; end with exactly one `Done`. Raises JobNotFound at once.

    The ledger says when a job has ended; so this also ends if Redis lost its events. Such a `Done` has no id. Only
    where this process stops it ends without.
    """
    follower = reader.follower(job_id)
    if on_disconnect is not None:
        on_disconnect(follower.wake)
    return _follow(follower, after=order_of(after), keep_alive_s=keep_alive_s)


def render(items: Iterator[Item | None], *, job_id: str, after: str, jobs: JobStore) -> Iterator[str]:
    """What `follow` yields as server-sent events, with the answer before `done` unless `after` is its id."""
    yield KEEP_ALIVE  # the client learns at once that it is served
    for item in items:
        if item is None:
            yield KEEP_ALIVE
            continue
        if isinstance(item[1], Done) and after != ANSWERED:
            yield from _answer(job_id, jobs)
        yield render_event(item[1], item[0])


def cancelling(stream: Iterator[str], cancel: Callable[[], object]) -> Iterator[str]:
    """The same stream; `cancel` is called if it is closed before its end."""
    try:
        yield from stream
    except GeneratorExit:
        _insist(cancel)
        raise


def _follow(follower: Follower, *, after: tuple[int, int], keep_alive_s: float) -> Iterator[Item | None]:
    """Events up to `after` are read again and not yielded: they tell the newest attempt of each model."""
    attempts: dict[ModelName, int] = {}
    for item in follower.entries(keep_alive_s=keep_alive_s):
        if item is None:
            yield None
            continue
        event_id, event = item
        if isinstance(event, Done):
            yield item
            return
        if _is_current(event, attempts) and event_id is not None and order_of(event_id) > after:
            yield item


def _is_current(event: JobEvent, attempts: dict[ModelName, int]) -> bool:
    """False for what a worker that was given up for dead still writes; notes the newest attempt of each model."""
    if isinstance(event, Done):
        return True
    newest = attempts.get(event.model, 0)
    attempts[event.model] = max(newest, event.attempt)
    return event.attempt >= newest


def _answer(job_id: str, jobs: JobStore) -> Iterator[str]:
    """From the ledger, waiting for it with keep-alives; nothing where the job has none."""
    while True:
        try:
            answer = jobs.get(job_id).answer
        except JobNotFound:
            return
        except DatabaseUnavailable:
            yield KEEP_ALIVE
            time.sleep(PAUSE_S)
            continue
        if answer is not None:
            yield render_answer(answer)
        return


def _insist(cancel: Callable[[], object]) -> None:
    """Wait out a ledger that is away for a while."""
    for _ in range(CANCEL_TRIES):
        try:
            cancel()
            return
        except DatabaseUnavailable as error:
            logger.warning("a job whose client has gone is not cancelled yet: %s", error)
            time.sleep(PAUSE_S)
