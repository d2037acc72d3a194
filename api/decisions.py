"""The router's decision in the headers of every door that takes a prompt."""

from __future__ import annotations

from flask import Flask, Response, g

from core.messages import Route

DECISION_HEADERS = {
    "x-mathcode-route": "Where the prompt went: math, code or hybrid",
    "x-mathcode-route-label": "What the router takes it for: math, code, hybrid or other",
    "x-mathcode-route-confidence": "How sure it is, 0 to 1",
    "x-mathcode-router": "The version of the router",
    "x-mathcode-route-fallback": "`true` where keywords stood in for the learned router",
}
"""For the OpenAPI document: header of an answer -> what it says."""


def register(app: Flask) -> None:
    app.after_request(_tell_decision)


def remember(route: Route) -> None:
    """Let the answer to the current request tell of this decision."""
    g.decision = route


def _tell_decision(response: Response) -> Response:
    route: Route | None = g.get("decision")
    if route is not None:
        values = (
            route.task_type.value,
            route.label.value if route.label else None,
            f"{route.confidence:.4f}",
            route.version,
            str(route.is_fallback).lower(),
        )
        for name, value in zip(DECISION_HEADERS, values, strict=True):
            if value is not None:
                response.headers[name] = value
    return response
