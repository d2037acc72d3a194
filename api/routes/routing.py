"""`/v1/route`: where a prompt would go, and why. No job is made, no model asked."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from api.decisions import DECISION_HEADERS, remember
from api.formats.routing import DecisionBody, RouteQuestion, parse_question, render_decision
from api.openapi import Answer, describe
from api.services import services

blueprint = Blueprint("routing", __name__, url_prefix="/v1/route")


@blueprint.post("")
@describe(
    "Say where a prompt would go",
    tag="Routing",
    body=RouteQuestion,
    answers={200: Answer("The decision, with its reasons", DecisionBody, headers=DECISION_HEADERS)},
    errors=(413,),
)
def decide() -> ResponseReturnValue:
    asked = parse_question(request.get_data())
    route = services().router.route(asked.prompt, asked.force_task_type)
    remember(route)
    return jsonify(render_decision(route))
