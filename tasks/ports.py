"""What a task needs from the process that hosts it; `worker` and `training` provide it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from core.messages import Completion, Failure, ModelName
from core.work import Delta, Work


class Engine(Protocol):
    """One loaded model answering many requests at once; every method may be called from any thread."""

    @property
    def model(self) -> ModelName:
        """Which of the two specialists this is."""

    @property
    def version(self) -> str:
        """The exact weights in service, as every completion names them."""

    @property
    def alive(self) -> bool:
        """False once the engine itself broke: what it yields then is void, and its process should end."""

    def generate(self, work: Work) -> Iterator[Delta | Completion | Failure]:
        """Yield text as it appears, then exactly one `Completion` or `Failure`, then end.

        Expected failures (prompt too long, cancelled, expired, engine broken) are yielded, not raised. Closing the
        iterator early cancels the work.
        """

    def close(self) -> None:
        """Stop; running work ends with a `Failure`. Idempotent."""
