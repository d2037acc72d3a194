"""Server-sent events of a job: what a follower may ask for, and how each event is written.

Ids are those of the Redis stream. Two events are not from there: `answer`, which the ledger has, and the `done` of
a job whose events are lost. Their ids are beyond all of a stream, so that a client resumes after them too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from core.errors import InvalidRequest
from core.events import FROM_THE_START, JobEvent
from core.jsonl import one_line
from core.messages import Answer

KEEP_ALIVE = ": keep-alive\n\n"
ANSWERED = f"{2**64 - 1}-0"
FINISHED = f"{2**64 - 1}-1"
_STREAM_ID = re.compile("[0-9]{1,20}-[0-9]{1,20}")
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """The query of GET /v1/jobs/{id}/events; `after` is the id of the last event that the client has."""

    after: str = FROM_THE_START
    cancel_on_disconnect: bool = False


def parse_following(query: MultiDict[str, str], last_event_id: str | None) -> Following:
    """A browser that reconnects sends the header beside the query it began with: the header counts."""
    known = ("after", "cancel_on_disconnect")
    if unknown := [name for name in query if name not in known]:
        raise InvalidRequest(f"{unknown[0]}: is not known here: use {' or '.join(known)}", param=unknown[0])
    after = _parse_id(last_event_id, "Last-Event-ID") or _parse_id(query.get("after"), "after") or FROM_THE_START
    wish = query.get("cancel_on_disconnect", "false")
    if wish not in _TRUTHS:
        raise InvalidRequest("cancel_on_disconnect: use true or false", param="cancel_on_disconnect")
    return Following(after=after, cancel_on_disconnect=_TRUTHS[wish])


def render_event(event: JobEvent, event_id: str | None) -> str:
    return _render(event_id or FINISHED, event.event, event.model_dump_json(exclude={"event"}))


def render_answer(answer: Answer) -> str:
    """What the caller gets in the end, merged where two models have answered."""
    return _render(ANSWERED, "answer", answer.model_dump_json())


def _parse_id(text: str | None, param: str) -> str | None:
    if not text:
        return None
    if not _STREAM_ID.fullmatch(text) or any(int(part) >= 2**64 for part in text.split("-")):
        raise InvalidRequest(f"{param} is not an id of this stream: send one that it gave", param=param)
    return text


def _render(event_id: str, name: str, data: str) -> str:
    return f"id: {event_id}\nevent: {name}\ndata: {one_line(data)}\n\n"
