"""Every error leaves as one JSON object: {"error": {"code", "message", "param"}}, or OpenAI's at its doors."""

from __future__ import annotations

import logging
import math

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from api.error_shapes import new_request_id, render_error
from core import logs
from core.batch_errors import BatchNotFound, Conflict, StoredFileNotFound
from core.errors import (
    BodyTooLarge,
    IdempotencyConflict,
    InvalidRequest,
    JobNotFound,
    MathcodeError,
    ModelNotFound,
    RunNotFound,
    Unauthorized,
    Unavailable,
    VersionNotFound,
    VersionUnfit,
)
from core.key_errors import OperatorNeeded
from core.limit_errors import DailyTokensSpent, LimitReached

logger = logging.getLogger(__name__)


def register(app: Flask) -> None:
    app.before_request(_name_request)
    app.after_request(_sign_response)
    app.register_error_handler(MathcodeError, _on_known)
    app.register_error_handler(RequestEntityTooLarge, _on_too_large)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(Exception, _on_bug)


_STATUSES: tuple[tuple[type[MathcodeError], int], ...] = (
    (Unauthorized, 401),
    (OperatorNeeded, 403),
    (BatchNotFound, 404),
    (JobNotFound, 404),
    (ModelNotFound, 404),
    (RunNotFound, 404),
    (StoredFileNotFound, 404),
    (VersionNotFound, 404),
    (Conflict, 409),
    (IdempotencyConflict, 409),
    (VersionUnfit, 409),
    (BodyTooLarge, 413),
    (InvalidRequest, 400),
    (LimitReached, 429),
    (Unavailable, 503),
)


def status_of(error: MathcodeError) -> int:
    """The HTTP status that says who must act."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def _render(*, code: str, message: str, param: str | None, status: int) -> Response:
    response = jsonify(render_error(request.path, status=status, code=code, message=message, param=param))
    response.status_code = status
    return response


def _on_known(error: MathcodeError) -> Response:
    param = error.param if isinstance(error, InvalidRequest) else None
    response = _render(code=error.code, message=error.message, param=param, status=status_of(error))
    response.headers.update(retry_headers(error))
    return response


def retry_headers(error: MathcodeError) -> dict[str, str]:
    """What a client's retries, and its request for a key, go by."""
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable | LimitReached):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if isinstance(error, Conflict | IdempotencyConflict | DailyTokensSpent):
        headers["x-should-retry"] = "false"  # OpenAI's client would repeat it
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="mathcode"'
    return headers


def _on_too_large(error: RequestEntityTooLarge) -> Response:
    limit = request.max_content_length
    return _on_known(BodyTooLarge(f"the body is larger than {limit} bytes: send less"))


def _on_http(error: HTTPException) -> Response:
    code = (error.name or "http_error").lower().replace(" ", "_")
    response = _render(code=code, message=_what_to_do(error) or code, param=None, status=error.code or 500)
    for name, value in error.get_headers(request.environ):
        if name.lower() == "allow":
            response.headers[name] = value
    return response


def _what_to_do(error: HTTPException) -> str | None:
    """In place of words that are meant for readers of web pages."""
    path = repr(request.path[:100])
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return f"nothing is served at {path}: GET /openapi.json lists what is"
    if isinstance(error, MethodNotAllowed):
        served = ", ".join(sorted(error.valid_methods or ()))
        return f"{request.method[:16]} is not served at {path}: use {served}"
    return error.description


def _on_bug(error: Exception) -> Response:
    logger.error("request %s failed", g.request_id, exc_info=error)
    message = f"an internal error occurred: look for request {g.request_id} in the log of the API"
    return _render(code="internal_error", message=message, param=None, status=500)


def _name_request() -> None:
    g.request_id = new_request_id()
    logs.begin(request_id=g.request_id)


def _sign_response(response: Response) -> Response:
    response.headers["x-request-id"] = g.get("request_id", "")
    return response
