"""`/v1/jobs`: submit, poll, list, cancel, delete, follow."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from api import streaming
from api.callers import caller
from api.channel import ON_DISCONNECT
from api.decisions import DECISION_HEADERS
from api.formats import native
from api.formats.events import FINISHED, parse_following
from api.formats.schemas import FollowingQuery, JobBody, JobPageBody
from api.openapi import Answer, describe
from api.services import services
from api.submitting import REPLAYED, SUBMISSION_HEADERS, read_once
from api.submitting import submit as submit_asked
from core.errors import BrokerUnavailable
from core.events import FROM_THE_START
from core.retention import RetentionStore

TAG = "Jobs"
ACCEPTED_HEADERS = {"Location": "Where the job is", **DECISION_HEADERS}
EVENT = {
    "type": "object",
    "description": "One server-sent event; `data` is JSON, `id` resumes after it, `done` is the last one.",
    "required": ["event", "data"],
    "properties": {name: {"type": "string"} for name in ("event", "data", "id")},
}

blueprint = Blueprint("jobs", __name__, url_prefix="/v1/jobs")


@blueprint.post("")
@describe(
    "Submit a job",
    tag=TAG,
    body=native.Submission,
    answers={202: Answer("The job, which will end", JobBody, headers=ACCEPTED_HEADERS)},
    errors=(409, 413, 429),
    headers=SUBMISSION_HEADERS,
)
def submit() -> ResponseReturnValue:
    settings = services().settings
    given = native.parse_submission(request.get_data())
    done = submit_asked(
        given.to_request(settings.strategy),
        once=read_once(),
        wait_s=given.wait_s,
        webhook_url=given.webhook(settings.webhook_networks),
    )
    view = native.render_job(done.job)
    headers = {"Location": view["links"]["self"], **(REPLAYED if done.is_replayed else {})}
    return jsonify(view), 202, headers


@blueprint.get("")
@describe(
    "List jobs, newest first",
    tag=TAG,
    query=native.Page,
    answers={200: Answer("One page", JobPageBody)},
    errors=(404,),
)
def page() -> ResponseReturnValue:
    query = native.parse_page(request.args)
    jobs = services().jobs.page(
        state=query.status, after=query.after, limit=query.limit + 1, owner=caller().key_id
    )
    return jsonify(native.render_page(jobs, query.limit))


@blueprint.get("/<job_id>")
@describe("Read a job", tag=TAG, answers={200: Answer("The job as it stands", JobBody)}, errors=(404,))
def show(job_id: str) -> ResponseReturnValue:
    return jsonify(native.render_job(services().jobs.get(job_id)))


@blueprint.delete("/<job_id>")
@describe("Delete a job that has ended", tag=TAG, answers={204: Answer("It is gone")}, errors=(404, 409))
def delete(job_id: str) -> ResponseReturnValue:
    s = services()
    RetentionStore(s.database).delete(job_id)
    s.events.forget([job_id])
    return "", 204


@blueprint.post("/<job_id>/cancel")
@describe("Cancel a job", tag=TAG, answers={200: Answer("The job as it stands", JobBody)}, errors=(404,))
def cancel(job_id: str) -> ResponseReturnValue:
    return jsonify(native.render_job(services().submitter.cancel(job_id)))


@blueprint.post("/<job_id>/retry")
@describe(
    "Ask what a job asked once more",
    tag=TAG,
    answers={202: Answer("A new job, which will end", JobBody, headers={"Location": "Where the job is"})},
    errors=(404, 409, 413, 429),
    headers=SUBMISSION_HEADERS,
)
def retry(job_id: str) -> ResponseReturnValue:
    done = submit_asked(services().jobs.get(job_id).request, once=read_once())
    view = native.render_job(done.job)
    headers = {"Location": view["links"]["self"], **(REPLAYED if done.is_replayed else {})}
    return jsonify(view), 202, headers


@blueprint.get("/<job_id>/events")
@describe(
    "Follow a job",
    tag=TAG,
    query=FollowingQuery,
    answers={
        200: Answer("Server-sent events", media_type="text/event-stream", schema=EVENT),
        204: Answer("The client has had the last one"),
    },
    headers={"Last-Event-ID": "Resume after this id"},
    errors=(404,),
)
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
    response = Response(stream, mimetype="text/event-stream", headers=streaming.HEADERS)
    response.call_on_close(seat.leave)
    return response


def _has_all(job_id: str, after: str) -> bool:
    """Whether the client has had the last event."""
    try:
        return after == FINISHED or (after != FROM_THE_START and services().events.ends_at(job_id, after))
    except BrokerUnavailable:
        return False
