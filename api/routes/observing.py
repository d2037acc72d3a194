"""`/health` and `/metrics`: what the seed promised, and Prometheus' text."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from api.formats.observing import HealthyBody, MetricsBody, UnhealthyBody
from api.openapi import Answer, describe
from api.services import services
from core.observing.observatory import render_health, wants_text

TAG = "Service"
TEXT = "text/plain"

blueprint = Blueprint("observing", __name__)


@blueprint.get("/health")
@describe(
    "Whether every part of the installation is well",
    tag=TAG,
    answers={200: Answer("All are", HealthyBody), 503: Answer("Those named are not", UnhealthyBody)},
)
def health() -> ResponseReturnValue:
    body, status = render_health(services().observatory.unhealthy())
    return jsonify(body), status


@blueprint.get("/metrics")
@describe(
    "Figures of training and the cards; with `Accept: text/plain` all figures, for Prometheus",
    tag=TAG,
    answers={200: Answer("The figures", MetricsBody, or_else={TEXT: {"type": "string"}})},
)
def metrics() -> ResponseReturnValue:
    if wants_text(request.headers.get("Accept", "")):
        return _text()
    return jsonify(services().observatory.summary())


@blueprint.get("/metrics/prometheus")
@describe(
    "All figures, for Prometheus",
    tag=TAG,
    answers={200: Answer("Prometheus' text", media_type=TEXT, schema={"type": "string"})},
)
def prometheus() -> ResponseReturnValue:
    return _text()


def _text() -> Response:
    body, content_type = services().observatory.text(request.headers.get("Accept", ""))
    return Response(body, content_type=content_type, headers={"Vary": "Accept"})
