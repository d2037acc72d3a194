"""The step of Celery's start-up that builds what a worker process owns; each kind of worker derives its own."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from celery import bootsteps, signals

from core.errors import ConfigurationError, MathcodeError

EX_CONFIG = 78

logger = logging.getLogger(__name__)


class HostedProcess(Protocol):
    """Everything one process owns."""

    def start(self) -> None:
        """Begin to serve."""

    def begin_drain(self) -> None:
        """Let what runs finish or save, then hand it back; returns at once."""

    def close(self) -> None:
        """Give everything up, after the last task has ended."""


class ProcessStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Builds the process before its pool starts and takes it down after the pool has ended.

    What cannot be built ends the process with one sentence.
    """

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.process: HostedProcess | None = None

    def build(self, worker: Any) -> HostedProcess:
        """Raises MathcodeError."""
        raise NotImplementedError

    def create(self, worker: Any) -> None:
        try:
            self.process = self.build(worker)
            self.process.start()
        except MathcodeError as error:
            logger.critical("%s", error)
            raise SystemExit(EX_CONFIG if isinstance(error, ConfigurationError) else 1) from error
        signals.worker_shutting_down.connect(self._on_shutting_down)
        signals.worker_shutdown.connect(self._on_shutdown)

    def _on_shutting_down(self, **_: Any) -> None:
        if self.process is not None:
            self.process.begin_drain()

    def _on_shutdown(self, **_: Any) -> None:
        if self.process is not None:
            self.process.close()
            self.process = None
