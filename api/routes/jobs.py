"""`/v1/jobs`: submit, poll, list, cancel, follow."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from api import streaming
from api.formats import native
from api.formats.events import FINISHED, parse_following
from api.server import ON_DISCONNECT
from api.services import services
from core.errors import BrokerUnavailable
from core.events import FROM_THE_START

blueprint = Blueprint("jobs", __name__, url_prefix="/v1/jobs")


@blueprint.post("")
def submit() -> ResponseReturnValue:
    s = services()
    job = s.submitter.submit(native.parse_submission(request.get_data(), default_strategy=s.settings.strategy))
    view = native.render_job(job)
    return jsonify(view), 202, {"Location": view["links"]["self"]}


@blueprint.get("")
def page() -> ResponseReturnValue:
    query = native.parse_page(request.args)
    jobs = services().jobs.page(state=query.status, after=query.after, limit=query.limit + 1)
    return jsonify(native.render_page(jobs, query.limit))


@blueprint.get("/<job_id>")
def show(job_id: str) -> ResponseReturnValue:
    return jsonify(native.render_job(services().jobs.get(job_id)))


@blueprint.post("/<job_id>/cancel")
def cancel(job_id: str) -> ResponseReturnValue:
    return jsonify(native.render_job(services().submitter.cancel(job_id)))


@blueprint.get("/<job_id>/events")
def events(job_id: str) -> ResponseReturnValue:
    s = services()
    wish = parse_following(request.args, request.headers.get("Last-Event-ID"))
    items = streaming.follow(
        job_id,
        after=wish.after,
        reader=s.reader,
        keep_alive_s=s.settings.keep_alive_s,
        on_disconnect=request.environ.get(ON_DISCONNECT),
    )
    if _has_all(job_id, wish.after):
        return "", 204  # tells an EventSource not to come back
    stream = streaming.render(items, job_id=job_id, after=wish.after, jobs=s.jobs)
    if wish.cancel_on_disconnect:
        stream = streaming.cancelling(stream, lambda: s.submitter.cancel(job_id))
    seat = s.seats.take()
    response = Response(stream, mimetype="text/event-stream", headers={"Cache-Control": "no-store"})
    response.call_on_close(seat.leave)
    return response


def _has_all(job_id: str, after: str) -> bool:
    """Whether the client has had the last event."""
    try:
        return after == FINISHED or (after != FROM_THE_START and services().events.ends_at(job_id, after))
    except BrokerUnavailable:
        return False
