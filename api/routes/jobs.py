"""`/v1/jobs`: submit, poll, list, cancel, follow."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from api import streaming
from api.callers import caller
from api.formats import native
from api.services import services
from api.submitting import REPLAYED
from api.submitting import submit as submit_asked

blueprint = Blueprint("jobs", __name__, url_prefix="/v1/jobs")


@blueprint.post("")
def submit() -> ResponseReturnValue:
    given = native.read_submission(request.get_data())
    done = submit_asked(given.to_request(services().settings.strategy), wait_s=given.wait_s)
    view = native.render_job(done.job)
    headers = {"Location": view["links"]["self"], **(REPLAYED if done.is_replayed else {})}
    return jsonify(view), 202, headers


@blueprint.get("")
def page() -> ResponseReturnValue:
    query = native.parse_page(request.args)
    jobs = services().jobs.page(
        state=query.status, after=query.after, limit=query.limit + 1, owner=caller().key_id
    )
    return jsonify(native.render_page(jobs, query.limit))


@blueprint.get("/<job_id>")
def show(job_id: str) -> ResponseReturnValue:
    return jsonify(native.render_job(services().jobs.get(job_id)))


@blueprint.post("/<job_id>/cancel")
def cancel(job_id: str) -> ResponseReturnValue:
    return jsonify(native.render_job(services().submitter.cancel(job_id)))


@blueprint.get("/<job_id>/events")
def events(job_id: str) -> ResponseReturnValue:
    s, after = services(), streaming.parse_event_id(request.headers.get("Last-Event-ID"))
    s.jobs.state(job_id)
    seat = s.seats.take()
    stream = streaming.render(job_id, after=after, events=s.events, jobs=s.jobs)
    response = Response(stream, mimetype="text/event-stream", headers={"Cache-Control": "no-store"})
    response.call_on_close(seat.leave)
    return response
