"""Where Celery starts a worker.

Celery imports this module by name (`imports` in celeryconfig). It only hangs a step into the worker's start-up:
the step finds out from `-Q` what this process serves, builds it, and ends the process with one sentence if it
cannot.
"""

from __future__ import annotations

from typing import Any

from celery import signals

from core.errors import ConfigurationError
from core.logs import configure_logging
from core.roster import new_worker_name
from core.settings import load_settings
from tasks.celery_app import app
from tasks.process_step import HostedProcess, ProcessStep
from tasks.queues import QueueName
from worker.process import build_worker

LEAST_LIGHT_THREADS = 2


def served_queue(names: set[str]) -> QueueName:
    """The one queue this process serves. Raises ConfigurationError."""
    servable = {name.value for name in QueueName if name is not QueueName.TRAINING}
    if len(names) != 1 or not names <= servable:
        every = ", ".join(QueueName)
        raise ConfigurationError(f"a worker serves exactly one queue: start it with -Q and one of {every}")
    return QueueName(names.pop())


class HostStep(ProcessStep):
    """Of every worker but the training worker, which has a composition root of its own."""

    label = "mathcode"

    def include_if(self, worker: Any) -> bool:
        return set(worker.app.amqp.queues.consume_from) != {QueueName.TRAINING.value}

    def build(self, worker: Any) -> HostedProcess:
        queue = served_queue(set(worker.app.amqp.queues.consume_from))
        name = new_worker_name(queue.value)
        return build_worker(queue, name, node=worker.hostname, settings=load_settings(), celery=worker.app)


def _set_up_logging(**_: Any) -> None:
    """Take Celery's place: connecting to this signal keeps it from configuring loggers itself."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)


def _leave_room(conf: Any, options: dict[str, Any], **_: Any) -> None:
    """Of a light worker one thread looks at batches; merges have another, also where MATHCODE_SLOTS is 1."""
    if options.get("queues") in (QueueName.LIGHT.value, [QueueName.LIGHT.value]):
        conf.worker_concurrency = max(LEAST_LIGHT_THREADS, conf.worker_concurrency)


app.steps["worker"].add(HostStep)
signals.setup_logging.connect(_set_up_logging)
signals.celeryd_init.connect(_leave_room)
