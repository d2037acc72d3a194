"""`/v1/models`: the four ways to ask, and each version that a living worker serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.dialects.openai_models import FAMILIES, parse_model, pinned
from core.errors import ModelNotFound
from tasks.served import Served

OWNER = "mathcode"


def render_models(served: Sequence[Served]) -> dict[str, Any]:
    return {"object": "list", "data": list(_all(served).values())}


def render_model(name: str, served: Sequence[Served]) -> dict[str, Any]:
    """Raises ModelNotFound."""
    parse_model(name)
    try:
        return _all(served)[name]
    except KeyError:
        raise ModelNotFound(name) from None


def _all(served: Sequence[Served]) -> dict[str, dict[str, Any]]:
    """`created` is when the oldest worker that serves it started, 0 while none does."""
    oldest = min((int(each.since.timestamp()) for each in served), default=0)
    models = {family: _render(family, _since(family, served) or oldest) for family in FAMILIES}
    for each in served:
        name = pinned(each.model, each.version)
        models[name] = _render(name, int(each.since.timestamp()))
    return models


def _since(family: str, served: Sequence[Served]) -> int:
    return min((int(each.since.timestamp()) for each in served if each.model == family), default=0)


def _render(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": OWNER}
