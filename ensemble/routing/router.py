"""What any router is."""

from __future__ import annotations

from typing import Protocol

from core.messages import Route, TaskType


class Router(Protocol):
    """Decides which models a prompt needs; one serves all threads of a process."""

    @property
    def version(self) -> str:
        """Names what decides, as routes do."""

    @property
    def alarm(self) -> str | None:
        """What an operator should see to, or None."""

    def route(self, prompt: str, forced: TaskType | None = None) -> Route:
        """Decide for `prompt`, wrapped in `[INST]` or not; `forced` wins over all evidence. Never raises."""
