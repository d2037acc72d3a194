"""What a task needs from the process that hosts it; `worker` and `training` provide it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from core.messages import Completion, Failure, ModelName
from core.metrics import EngineMetrics
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
        """False once the engine broke or was closed: what it yields then is void, and its process should end."""

    def generate(self, work: Work) -> Iterator[Delta | Completion | Failure]:
        """Yield text as it appears, then exactly one `Completion` or `Failure`, then end.

        Expected failures (prompt too long, cancelled, expired, version not served, engine broken) are yielded, not
        raised. Closing the iterator early cancels the work.
        """

    def metrics(self) -> EngineMetrics:
        """A snapshot, at once: leases depend on the heartbeat that asks, so nothing here waits for the engine."""

    def sleep(self) -> None:
        """Give the accelerator's memory back; returns when it is free.

        Requests meanwhile wait; they still end at once when cancelled, and at their deadline. Idempotent.
        """

    def wake(self) -> None:
        """Take the memory again and serve what waits; returns when it does. Idempotent."""

    def swap_adapter(self, version: str | None, directory: Path | None) -> None:
        """Serve the LoRA adapter in `directory` under the name `version`, or the base model (both None).

        Returns when new requests get it. What cannot be served is raised and changes nothing.
        """

    def close(self) -> None:
        """Stop; running work ends with a `Failure`. Idempotent."""


class Trainer(Protocol):
    """Does training runs, one at a time."""

    def train(self, run_id: int) -> None:
        """Go on with a run until it has ended, is another's, or this process stops.

        Whatever ends it is written to the ledger. Raises DatabaseUnavailable: then it is taken up again later.
        """
