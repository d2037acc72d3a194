"""Every error leaves as one JSON object: {"error": {"code", "message", "param"}}."""

from __future__ import annotations

import logging

from flask import Flask, Response, g, jsonify, request
from uuid_utils import uuid7
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from core.errors import (
    BodyTooLarge,
    InvalidRequest,
    JobConflict,
    JobNotFound,
    MathcodeError,
    RunNotFound,
    Unavailable,
)

RETRY_AFTER_S = 1

logger = logging.getLogger(__name__)


def register(app: Flask) -> None:
    app.before_request(_name_request)
    app.after_request(_sign_response)
    app.register_error_handler(MathcodeError, _on_known)
    app.register_error_handler(RequestEntityTooLarge, _on_too_large)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(Exception, _on_bug)


def status_of(error: MathcodeError) -> int:
    """The HTTP status that says who must act."""
    match error:
        case JobNotFound() | RunNotFound():
            return 404
        case JobConflict():
            return 409
        case BodyTooLarge():
            return 413
        case InvalidRequest():
            return 400
        case Unavailable():
            return 503
        case _:
            return 500


def _render(*, code: str, message: str, param: str | None, status: int) -> Response:
    response = jsonify({"error": {"code": code, "message": message, "param": param}})
    response.status_code = status
    return response


def _on_known(error: MathcodeError) -> Response:
    param = error.param if isinstance(error, InvalidRequest) else None
    response = _render(code=error.code, message=error.message, param=param, status=status_of(error))
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, JobConflict):
        response.headers["x-should-retry"] = "false"  # OpenAI's clients would
    return response


def _on_too_large(error: RequestEntityTooLarge) -> Response:
    limit = request.max_content_length
    return _on_known(BodyTooLarge(f"the body is larger than {limit} bytes: send less"))


def _on_http(error: HTTPException) -> Response:
    code = (error.name or "http_error").lower().replace(" ", "_")
    response = _render(code=code, message=error.description or code, param=None, status=error.code or 500)
    for name, value in error.get_headers(request.environ):
        if name.lower() == "allow":
            response.headers[name] = value
    return response


def _on_bug(error: Exception) -> Response:
    logger.error("request %s failed", g.request_id, exc_info=error)
    message = f"an internal error occurred: look for request {g.request_id} in the log of the API"
    return _render(code="internal_error", message=message, param=None, status=500)


def _name_request() -> None:
    g.request_id = f"req_{uuid7().hex}"


def _sign_response(response: Response) -> Response:
    response.headers["x-request-id"] = g.get("request_id", "")
    return response
