"""Whether this process serves, and what it reaches."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.callers import is_identified
from api.formats.schemas import HealthBody, ServiceBody
from api.formats.service import IN_SHORT, render_service
from api.openapi import Answer, describe
from api.services import services
from core.errors import Unavailable
from core.roster import Worker

blueprint = Blueprint("status", __name__)


@blueprint.get("/healthz")
@describe("Whether this process serves", tag="Service", answers={200: Answer("It does", HealthBody)})
def healthz() -> ResponseReturnValue:
    """This process answers; nothing is said of others. `alarm` is null unless keywords stand in for the router."""
    router = services().router
    return jsonify({"status": "ok", "router": {"version": router.version, "alarm": router.alarm}})


@blueprint.get("/v1/status")
@describe(
    "Workers, engines, alarms", tag="Service", answers={200: Answer("What this process reaches", ServiceBody)}
)
def status() -> ResponseReturnValue:
    s = services()
    workers: list[Worker] = []
    alarms = [s.router.alarm] if s.router.alarm else []

    def look() -> None:
        workers.extend(s.roster.alive())
        alarms.extend(s.versions.alarms())

    view = render_service(
        profile=s.settings.profile,
        router=s.router.version,
        database=_reach(look),
        broker=_reach(s.events.ping),
        workers=workers,
        alarms=alarms,
    )
    return jsonify(view if is_identified() else {name: view[name] for name in IN_SHORT})


def _reach(probe: Callable[[], None]) -> str:
    try:
        probe()
    except Unavailable as error:
        return error.code
    return "ok"
