"""A page of another site may make a browser POST here unasked, as long as it is a form: such a POST is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import UnsupportedMediaType

UNSAFE_METHODS = {"POST", "PUT", "PATCH"}


def register(app: Flask) -> None:
    app.before_request(_refuse_forms)


def _refuse_forms() -> None:
    """JSON and a key are out of such a page's reach: a browser asks first, and nobody here says yes."""
    origin = request.headers.get("Origin")
    if origin is None or request.method not in UNSAFE_METHODS or request.is_json:
        return
    if "Authorization" not in request.headers and _host(origin) != request.host:
        raise UnsupportedMediaType("a page of another site sent this: send Content-Type: application/json")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
