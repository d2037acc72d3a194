"""OpenAI's doors: `/v1/models`, `/v1/chat/completions`, `/v1/completions`."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from api import calls, streaming
from api.channel import ON_DISCONNECT
from api.decisions import DECISION_HEADERS
from api.formats import openai_models
from api.formats import openai_schemas as schemas
from api.openapi import Answer, describe
from api.services import services
from api.submitting import REPLAYED, SUBMISSION_HEADERS
from core.dialects import openai

TAG = "OpenAI: models and completions"
CALL_ERRORS = (404, 409, 413, 429, 499, 504)
STREAMED = {"text/event-stream": schemas.STREAM}

blueprint = Blueprint("openai", __name__, url_prefix="/v1")


@blueprint.get("/models")
@describe("List models", tag=TAG, answers={200: Answer("All that can be asked for", schemas.ModelListBody)})
def models() -> ResponseReturnValue:
    return jsonify(openai_models.render_models(services().served.all()))


@blueprint.get("/models/<path:name>")
@describe("Read a model", tag=TAG, answers={200: Answer("The model", schemas.ModelBody)}, errors=(404,))
def model(name: str) -> ResponseReturnValue:
    return jsonify(openai_models.render_model(name, services().served.all()))


@blueprint.post("/chat/completions")
@describe(
    "Answer a chat",
    tag=TAG,
    body=schemas.ChatBody,
    answers={
        200: Answer(
            "Whole, or as it appears", schemas.ChatCompletionBody, or_else=STREAMED, headers=DECISION_HEADERS
        )
    },
    errors=CALL_ERRORS,
    headers=SUBMISSION_HEADERS,
)
def chat() -> ResponseReturnValue:
    return _answer(openai.CHAT)


@blueprint.post("/completions")
@describe(
    "Go on with a text",
    tag=TAG,
    body=schemas.TextBody,
    answers={
        200: Answer(
            "Whole, or as it appears", schemas.TextCompletionBody, or_else=STREAMED, headers=DECISION_HEADERS
        )
    },
    errors=CALL_ERRORS,
    headers=SUBMISSION_HEADERS,
)
def text() -> ResponseReturnValue:
    return _answer(openai.TEXT)


def _answer(endpoint: str) -> Response:
    s = services()
    call = openai.parse(endpoint, request.get_data(), default_strategy=s.settings.strategy)
    seat = s.seats.take()
    try:
        live = calls.begin(call.reproducible(secrets.randbits(62)), s, client=_client())
    except BaseException:
        seat.leave()
        raise
    try:
        response = _stream(live) if call.stream else _wait(call, live)
    except BaseException:
        live.close()
        seat.leave()
        raise
    if live.is_replayed:
        response.headers.update(REPLAYED)
    response.call_on_close(live.close)
    response.call_on_close(seat.leave)
    return response


def _client() -> calls.Client:
    """A server that cannot say whether its client has hung up finds out when it next writes."""
    is_gone = request.environ.get("waitress.client_disconnected", lambda: False)
    return calls.Client(is_gone=is_gone, on_disconnect=request.environ.get(ON_DISCONNECT))


def _wait(call: openai.Call, live: calls.LiveCall) -> Response:
    result = live.wait(patience_s=services().settings.call_wait_s)
    if isinstance(result, openai.CallFailure):
        return _refuse(result)
    return jsonify(openai.render(call, live.id, result))


def _stream(live: calls.LiveCall) -> Response:
    stream = live.stream()
    if isinstance(stream, openai.CallFailure):
        return _refuse(stream)
    return Response(stream, mimetype="text/event-stream", headers=streaming.HEADERS)


def _refuse(failure: openai.CallFailure) -> Response:
    response = jsonify(failure.body)
    response.status_code = failure.status
    if failure.is_final:
        response.headers["x-should-retry"] = "false"
    elif failure.status == 503:
        response.headers["Retry-After"] = "1"
    return response
