"""Server-sent events of one job; the id of an event is that of the Redis stream, so a client can resume."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Event as Pause

from core.errors import BrokerUnavailable, InvalidRequest
from core.events import Done, EventLog, Piece, Restarted
from core.jobs import JobStore

FROM_THE_START = "0-0"
KEEP_ALIVE_S = 2.0
KEEP_ALIVE = ": keep-alive\n\n"
_STREAM_ID = re.compile(r"\d{1,20}-\d{1,20}")


def parse_event_id(header: str | None) -> str:
    """Where to resume: the value of `Last-Event-ID`, or the start."""
    if header is None or header == "":
        return FROM_THE_START
    if not _STREAM_ID.fullmatch(header):
        raise InvalidRequest(
            "Last-Event-ID is not an id of this stream: send one that it gave", param="Last-Event-ID"
        )
    return header


def follow(job_id: str, *, after: str, events: EventLog, jobs: JobStore) -> Iterator[str]:
    """Yield events as they appear, keep-alives between them, and end with exactly one `done`.

    The ledger says when a job has ended; so the stream also ends if Redis lost its events.
    """
    while True:
        was_final = (job := jobs.get(job_id)).state.is_final
        batch = _read(events, job_id, after=after, block_s=0.0 if was_final else KEEP_ALIVE_S)
        for event_id, event in batch:
            after = event_id
            yield _render(event, event_id)
            if isinstance(event, Done):
                return
        if was_final and not batch:
            yield _render(Done(status=job.state), None)
            return
        if not batch:
            yield KEEP_ALIVE


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
