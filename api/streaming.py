"""Server-sent events of one job; the id of an event is that of the Redis stream, so a client can resume."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Event as Pause

from core.errors import BrokerUnavailable, DatabaseUnavailable, InvalidRequest
from core.events import Done, EventLog, Piece, Restarted
from core.jobs import JobStore
from core.messages import JobState, ModelName

FROM_THE_START = "0-0"
KEEP_ALIVE_S = 2.0
LAST_EVENT_S = 0.25
"""The ledger is written first: once it says that a job has ended, its last event may still be on its way."""
KEEP_ALIVE = ": keep-alive\n\n"
_STREAM_ID = re.compile(r"\d{1,20}-\d{1,20}")


def parse_event_id(header: str | None) -> str:
    """Where to resume: the value of `Last-Event-ID`, or the start."""
    if header is None or header == "":
        return FROM_THE_START
    if not _STREAM_ID.fullmatch(header) or any(int(part) >= 2**64 for part in header.split("-")):
        raise InvalidRequest(
            "Last-Event-ID is not an id of this stream: send one that it gave", param="Last-Event-ID"
        )
    return header


def render(job_id: str, *, after: str, events: EventLog, jobs: JobStore) -> Iterator[str]:
    """The job's events as server-sent ones, with keep-alives between them; ends with exactly one `done`."""
    for item in follow(job_id, after=after, events=events, jobs=jobs):
        yield KEEP_ALIVE if item is None else _render(item[1], item[0])


def follow(
    job_id: str, *, after: str, events: EventLog, jobs: JobStore
) -> Iterator[tuple[str | None, Piece | Restarted | Done] | None]:
    """Yield (id, event) as events appear, None now and then while there are none; end with exactly one `Done`.

    The ledger says when a job has ended; so this also ends if Redis lost its events. Such a `Done` has no id.
    """
    attempts: dict[ModelName, int] = {}
    while True:
        final = _final_state(jobs, job_id)
        batch = _read(events, job_id, after=after, block_s=LAST_EVENT_S if final else KEEP_ALIVE_S)
        for event_id, event in batch:
            after = event_id
            if _is_current(event, attempts):
                yield event_id, event
            if isinstance(event, Done):
                return
        if final and not batch:
            yield None, Done(status=final)
            return
        if not batch:
            yield None


def _final_state(jobs: JobStore, job_id: str) -> JobState | None:
    """The job's state once it has ended; None before, and while the ledger is away."""
    try:
        state = jobs.state(job_id)
    except DatabaseUnavailable:
        return None
    return state if state.is_final else None


def _is_current(event: Piece | Restarted | Done, attempts: dict[ModelName, int]) -> bool:
    """False for what a worker that was given up for dead still writes; notes the newest attempt of each model."""
    if isinstance(event, Done):
        return True
    newest = attempts.get(event.model, 0)
    attempts[event.model] = max(newest, event.attempt)
    return event.attempt >= newest


def _read(
    events: EventLog, job_id: str, *, after: str, block_s: float
) -> list[tuple[str, Piece | Restarted | Done]]:
    try:
        return events.read(job_id, after=after, block_s=block_s)
    except BrokerUnavailable:
        Pause().wait(min(block_s, 1.0))
        return []


def _render(event: Piece | Restarted | Done, event_id: str | None) -> str:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event.event}\ndata: {event.model_dump_json(exclude={'event'})}\n\n"
