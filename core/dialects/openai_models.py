"""The names under which models are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import ModelNotFound
from core.messages import ModelName, TaskType

ROUTED, HYBRID = "mathcode", "hybrid"
_TASKS = {
    ROUTED: None,
    ModelName.MATHSTRAL.value: TaskType.MATH,
    ModelName.CODESTRAL.value: TaskType.CODE,
    HYBRID: TaskType.HYBRID,
}
FAMILIES = tuple(_TASKS)


@dataclass(frozen=True, slots=True)
class Asked:
    """`task_type` is None where the router decides; `version` names exact weights of one model."""

    task_type: TaskType | None
    version: str | None = None


def parse_model(name: str) -> Asked:
    """One of the four, or `mathstral@VERSION` or `codestral@VERSION`. Raises ModelNotFound."""
    family, at, version = name.partition("@")
    if family not in _TASKS or (at and (not version or family in (ROUTED, HYBRID))):
        raise ModelNotFound(name)
    return Asked(_TASKS[family], version if at else None)


def pinned(model: str, version: str) -> str:
    """The name under which exactly this version is asked for."""
    return f"{model}@{version}"
