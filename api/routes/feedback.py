"""`/v1/jobs/{id}/feedback`: what the caller thinks of a job, kept as long as the job for routing to learn from."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from api.formats.feedback import FeedbackBody, FeedbackGiven, parse_feedback, render_feedback
from api.openapi import Answer, describe
from api.services import services
from core.feedback import FeedbackStore

blueprint = Blueprint("feedback", __name__, url_prefix="/v1/jobs")


@blueprint.post("/<job_id>/feedback")
@describe(
    "Say what you think of a job",
    tag="Jobs",
    body=FeedbackGiven,
    answers={200: Answer("What is kept; it replaces what was said before", FeedbackBody)},
    errors=(404, 413),
)
def give(job_id: str) -> ResponseReturnValue:
    given = parse_feedback(request.get_data())
    kept = FeedbackStore(services().database).give(job_id, rating=given.rating, label=given.label)
    return jsonify(render_feedback(job_id, kept))
