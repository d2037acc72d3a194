"""`/v1/queues`: how much waits for each model."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.formats.versions import QueuesBody, render_queues
from api.openapi import Answer, describe
from api.services import services
from core.queue_depths import queue_depths

blueprint = Blueprint("queues", __name__, url_prefix="/v1/queues")


@blueprint.get("")
@describe("Queue depths", tag="Service", answers={200: Answer("One for each model", QueuesBody)})
def show() -> ResponseReturnValue:
    return jsonify(render_queues(queue_depths(services().database)))
