"""One line per request under the request's id, and the first span of each job that it made.

What changed something or was refused is told; reads only for `DEBUG`. The query is left out: it may be anything.
"""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

from api.services import services

logger = logging.getLogger(__name__)

_READS = {"GET", "HEAD", "OPTIONS"}


def register(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_write)


def remember(job_id: str) -> None:
    """The current request has made this job."""
    g.setdefault("made_jobs", []).append(job_id)


def _begin() -> None:
    g.began_at = time.time()


def _write(response: Response) -> Response:
    began_at = g.get("began_at", time.time())
    level = logging.DEBUG if request.method in _READS and response.status_code < 400 else logging.INFO
    if logger.isEnabledFor(level):
        took_ms = 1000 * (time.time() - began_at)
        logger.log(level, "%s %s %d in %.1f ms", request.method, request.path, response.status_code, took_ms)
    for job_id in g.get("made_jobs", ()):
        _trace(job_id, response.status_code, began_at)
    return response


def _trace(job_id: str, status: int, began_at: float) -> None:
    services().tracer.begin(
        job_id,
        f"{request.method} {request.url_rule}",
        start=began_at,
        attributes={
            "http.request.method": request.method,
            "http.route": str(request.url_rule),
            "http.response.status_code": status,
            "mathcode.job": job_id,
            "mathcode.request": str(g.get("request_id", "")),
        },
        parent=request.headers.get("traceparent"),
    )
