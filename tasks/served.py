"""Which exact weights can be asked for: those that living workers say they serve."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.errors import ModelNotFound
from core.messages import GenerationRequest, ModelName, TaskType
from core.roster import Roster, Worker
from ensemble import prompting

FRESH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """`version` of `model`, served since."""

    model: ModelName
    version: str
    since: datetime


class ServedVersions:
    """Thread-safe."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._served: tuple[Served, ...] = ()
        self._fresh_until = 0.0

    def all(self) -> Sequence[Served]:
        """Each version once, by model, as of a second ago at most. Raises DatabaseUnavailable."""
        if time.monotonic() >= self._fresh_until:
            found: dict[tuple[ModelName, str], Served] = {}
            for worker in self._roster.alive():
                for served in _served_by(worker):
                    found.setdefault((served.model, served.version), served)
            self._served, self._fresh_until = tuple(found.values()), time.monotonic() + FRESH_S
        return self._served

    def check(self, request: GenerationRequest, task_type: TaskType) -> None:
        """Raise ModelNotFound unless the models of the route are served in the version asked for, if any."""
        if request.version is None:
            return
        served = {(each.model, each.version) for each in self.all()}
        for model in prompting.models_for(task_type):
            if (model, request.version) not in served:
                raise ModelNotFound(f"{model}@{request.version}")


def _served_by(worker: Worker) -> list[Served]:
    if worker.queue not in list(ModelName) or not worker.version:
        return []
    named = (worker.metrics or {}).get("versions")
    versions = [worker.version, *(named if isinstance(named, list) else [])]
    return [
        Served(model=ModelName(worker.queue), version=version, since=worker.started_at)
        for version in dict.fromkeys(versions)
        if isinstance(version, str)
    ]
