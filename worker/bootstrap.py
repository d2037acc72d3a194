"""Where Celery starts a worker.

Celery imports this module by name (`imports` in celeryconfig). It only hangs a step into the worker's start-up:
the step finds out from `-Q` what this process serves, builds it, and ends the process with one sentence if it
cannot.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from celery import bootsteps, signals

from core.errors import ConfigurationError, MathcodeError
from core.logs import configure_logging
from core.settings import load_settings
from tasks.celery_app import app
from tasks.queues import QueueName
from worker.process import WorkerProcess, build_worker

EX_CONFIG = 78

logger = logging.getLogger(__name__)


def served_queue(names: set[str]) -> QueueName:
    """The one queue this process serves. Raises ConfigurationError."""
    servable = [name.value for name in QueueName if name is not QueueName.TRAINING]
    if len(names) != 1 or not names <= set(servable):
        raise ConfigurationError(f"a worker serves exactly one queue: start it with -Q and one of {servable}")
    return QueueName(names.pop())


class HostStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Builds the process before its pool starts and takes it down after the pool has ended."""

    label = "mathcode"

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.process: WorkerProcess | None = None

    def include_if(self, worker: Any) -> bool:
        """The training worker has a composition root of its own."""
        return set(worker.app.amqp.queues.consume_from) != {QueueName.TRAINING.value}

    def create(self, worker: Any) -> None:
        try:
            queue = served_queue(set(worker.app.amqp.queues.consume_from))
            name = f"{queue.value}@{socket.gethostname()}:{os.getpid()}"
            self.process = build_worker(
                queue, name, node=worker.hostname, settings=load_settings(), celery=worker.app
            )
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


def _set_up_logging(**_: Any) -> None:
    """Take Celery's place: connecting to this signal keeps it from configuring loggers itself."""
    configure_logging(load_settings().log_level)


app.steps["worker"].add(HostStep)
signals.setup_logging.connect(_set_up_logging)
