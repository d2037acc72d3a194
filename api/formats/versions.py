"""Versions of the code model's adapter, and how much waits, as callers see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from core.messages import ModelName
from core.model_versions import Version, VersionState
from core.queue_depths import Depth


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class VersionBody(_Shape):
    """`parent` None: trained from the base model. `scores` are those of its run, measured before it served."""

    number: int
    name: str
    status: VersionState
    parent: str | None
    run: int | None
    scores: dict[str, Any]
    alarm: str | None
    created_at: AwareDatetime
    promoted_at: AwareDatetime | None


class VersionsBody(_Shape):
    """Newest first; `serving` None: the base model serves."""

    serving: str | None
    data: list[VersionBody]


class ServingBody(_Shape):
    """`serving` None: the base model serves."""

    serving: str | None


class DepthBody(_Shape):
    """Completions of one model: that can begin, that wait for their lane or another model, that are written."""

    model: ModelName
    queued: int
    held: int
    running: int
    oldest_s: float


class QueuesBody(_Shape):
    data: list[DepthBody]


def render_versions(versions: Sequence[Version]) -> dict[str, Any]:
    serving = next((version.name for version in versions if version.state is VersionState.SERVING), None)
    return {"serving": serving, "data": [_render(version) for version in versions]}


def render_serving(version: Version | None) -> dict[str, Any]:
    return {"serving": version.name if version else None}


def render_queues(depths: Sequence[Depth]) -> dict[str, Any]:
    return {"data": [asdict(depth) for depth in depths]}


def _render(version: Version) -> dict[str, Any]:
    return {
        "number": version.number,
        "name": version.name,
        "status": version.state,
        "parent": f"v{version.parent}" if version.parent else None,
        "run": version.run_id,
        "scores": dict(version.scores),
        "alarm": version.alarm,
        "created_at": version.created_at.isoformat(timespec="milliseconds"),
        "promoted_at": version.promoted_at.isoformat(timespec="milliseconds") if version.promoted_at else None,
    }
