"""`/openapi.json`, and `/docs` to browse it without the internet: Swagger UI comes with a package."""

from __future__ import annotations

from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, jsonify, send_file
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from api.openapi import Answer, build, describe

_UI = "flask_openapi3_swagger/templates/swagger"
_ASSETS = {"swagger-ui.css": "css/swagger-ui.css", "swagger-ui-bundle.js": "js/swagger-ui-bundle.js"}
_START = """window.onload = () => SwaggerUIBundle({
  url: "openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis]
});
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><title>mathcode API</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script>
</body>
</html>
"""
# The page loads nothing from elsewhere, and may be asked to.
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
_TEXT = {"type": "string"}

blueprint = Blueprint("documentation", __name__)


@blueprint.get("/openapi.json")
@describe("This document", tag="Documentation", answers={200: Answer("OpenAPI 3.1", schema={"type": "object"})})
def document() -> ResponseReturnValue:
    return jsonify(_document(current_app._get_current_object()))  # type: ignore[attr-defined]


@blueprint.get("/docs")
@describe(
    "A page to browse it with",
    tag="Documentation",
    answers={200: Answer("The page", media_type="text/html", schema=_TEXT)},
)
def page() -> ResponseReturnValue:
    return Response(_PAGE, mimetype="text/html", headers={"Content-Security-Policy": _POLICY})


@blueprint.get("/docs/<asset>")
@describe(
    "What the page loads",
    tag="Documentation",
    answers={200: Answer("A script or style sheet", media_type="text/*", schema=_TEXT)},
    errors=(404,),
)
def asset(asset: str) -> ResponseReturnValue:
    if asset == "start.js":
        return Response(_START, mimetype="text/javascript")
    if asset not in _ASSETS:
        raise NotFound(f"the page has no {asset[:64]!r}: open /docs")
    return send_file(_ui_folder() / _ASSETS[asset], max_age=86_400)


@cache
def _document(app: Flask) -> dict[str, object]:
    return build(app)


@cache
def _ui_folder() -> Path:
    """Where the package lies; importing it would load what we do not use."""
    return Path(str(distribution("flask-openapi3-swagger").locate_file(_UI)))
