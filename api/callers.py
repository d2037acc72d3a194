"""Who asks: the key of the current request, checked before any view runs.

A view learns of it by `caller()` and passes `origin()` on to the submitter. Of a route with a `job_id` in its path
the ownership is checked here, for all methods: another's job is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, Response, g, request

from api.services import services
from core.errors import DatabaseUnavailable, Unauthorized
from core.jobs import Origin
from core.key_errors import OperatorNeeded
from core.keys import PREFIX, Limits
from core.limits import Level
from core.variables import is_loopback

GUARDED = ("/v1", "/metrics")
"""What needs a key where keys are needed, with all below it."""
STATUS = "/v1/status"
"""Answers in short without a key, where this machine asks: `mathcode up` waits for it."""


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`key_id` None is anybody, where no keys are required: the operator of this machine, who sees everything."""

    key_id: str | None = None
    limits: Limits = UNLIMITED
    is_operator: bool = False


ANYBODY = Caller()


def register(app: Flask) -> None:
    app.before_request(_identify)
    app.after_request(_tell_limits)


def caller() -> Caller:
    """The caller of the current request."""
    found: Caller = g.get("caller", ANYBODY)
    return found


def origin() -> Origin:
    """Where the jobs of the current request come from."""
    return Origin(key_id=caller().key_id)


def is_identified() -> bool:
    """False for who has shown no key although keys are required; only GET /v1/status may be answered then."""
    return caller().key_id is not None or not services().settings.needs_keys


def require_operator() -> None:
    """Raises OperatorNeeded unless an operator's key was shown, also where no other key is required."""
    if not caller().is_operator:
        raise OperatorNeeded


def _identify() -> None:
    """Raises Unauthorized, JobNotFound or DatabaseUnavailable."""
    if not any(request.path == path or request.path.startswith(f"{path}/") for path in GUARDED):
        return
    token = _token()
    if token is None:
        if services().settings.needs_keys and not _may_see_status():
            raise Unauthorized("an API key is needed: send it as `Authorization: Bearer mk_...`")
        return
    key = services().keys.authenticate(token)
    g.caller = Caller(key_id=key.id, limits=key.limits, is_operator=key.is_operator)
    job_id = (request.view_args or {}).get("job_id")
    if job_id is not None:
        services().jobs.check_owner(job_id, key.id)


def _token() -> str | None:
    """What was sent as a key. Where none is required, one not of ours is ignored: some clients must send one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        return None
    return token if token.startswith(PREFIX) or services().settings.needs_keys else None


def _may_see_status() -> bool:
    asker = request.remote_addr or ""
    is_here = is_loopback(asker) or asker == services().settings.host
    return is_here and request.path == STATUS and request.method in {"GET", "HEAD"}


def _tell_limits(response: Response) -> Response:
    """After a submission of a key with rates: what is left of them, in headers as OpenAI names them."""
    limits, key_id = caller().limits, caller().key_id
    if request.method != "POST" or key_id is None or (limits.requests is None and limits.tokens is None):
        return response
    try:
        level: Level = services().limits.level(key_id, limits)
    except DatabaseUnavailable:
        return response  # what was answered stands, without them
    for name, rate, left in (
        ("requests", limits.requests, level.requests),
        ("tokens", limits.tokens, level.tokens),
    ):
        if rate is not None:
            response.headers[f"x-ratelimit-limit-{name}"] = str(rate.amount)
            response.headers[f"x-ratelimit-remaining-{name}"] = str(max(0, int(left)))
            response.headers[f"x-ratelimit-reset-{name}"] = _duration((rate.amount - left) / rate.per_s)
    return response


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds), 3), 60)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.3g}s"
