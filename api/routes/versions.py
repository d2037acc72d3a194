"""`/v1/versions`: which adapters of the code model there are; an operator's key promotes one or rolls back."""

from __future__ import annotations

import logging

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.callers import require_operator
from api.formats.versions import ServingBody, VersionsBody, render_serving, render_versions
from api.openapi import Answer, describe
from api.services import services
from core.model_versions import Version
from core.version_link import settle_link

logger = logging.getLogger(__name__)

blueprint = Blueprint("versions", __name__, url_prefix="/v1/versions")


@blueprint.get("")
@describe("List versions", tag="Training", answers={200: Answer("All there ever were", VersionsBody)})
def show() -> ResponseReturnValue:
    return jsonify(render_versions(services().versions.all()))


@blueprint.post("/<int(max=2147483647):number>/promote")
@describe(
    "Put a version into service",
    tag="Training",
    answers={200: Answer("What serves now; workers switch with their next heartbeats", ServingBody)},
    errors=(403, 404, 409),
)
def promote(number: int) -> ResponseReturnValue:
    require_operator()
    version = services().versions.promote(number)
    _settle_link(version)
    return jsonify(render_serving(version))


@blueprint.post("/rollback")
@describe(
    "Go back to the parent of the version in service, or to the base model",
    tag="Training",
    answers={200: Answer("What serves now; workers switch with their next heartbeats", ServingBody)},
    errors=(403,),
)
def roll_back() -> ResponseReturnValue:
    require_operator()
    version = services().versions.rollback()
    _settle_link(version)
    return jsonify(render_serving(version))


def _settle_link(serving: Version | None) -> None:
    """The registry has changed, and workers follow it; the link is for people, where this host has the files."""
    s = services()
    if serving is not None and not serving.directory.is_dir():
        return
    try:
        settle_link(s.versions, s.settings.data_dir / "models")
    except OSError as error:
        logger.warning("the link to the version in service stays as it was: %s", error)
