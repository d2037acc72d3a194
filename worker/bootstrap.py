"""The composition root of a worker, run by Celery when the process starts.

Celery imports this module by name (`imports` in celeryconfig). It only hangs a step into the worker's start-up:
the step finds out from `-Q` what this process serves, builds it, and ends the process with one sentence if it
cannot.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from functools import partial
from threading import Timer
from typing import Any

from celery import Celery, bootsteps, signals

from core.database import Database
from core.errors import ConfigurationError, MathcodeError
from core.events import EventLog
from core.jobs import JobStore
from core.leases import LeaseStore
from core.logs import configure_logging
from core.manifests import ManifestStore
from core.options import Profile
from core.repairs import RepairStore
from core.roster import Roster
from core.settings import Settings, load_settings
from core.training_runs import RunStore
from tasks.celery_app import app
from tasks.closing import Closer
from tasks.doorbell import Doorbell
from tasks.execution import Executor
from tasks.host import Host, bind_host
from tasks.ports import Engine
from tasks.queues import QueueName
from tasks.reconciliation import Reconciler
from tasks.running import Running
from tasks.watching import Watcher
from worker.control import bind_operations
from worker.heart import Heart
from worker.operations import Operations

EX_CONFIG = 78

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """Everything one worker process owns."""

    name: str
    host: Host
    heart: Heart
    engine: Engine | None
    operations: Operations
    database: Database
    roster: Roster
    drain_s: float

    def start(self) -> None:
        bind_host(self.host)
        bind_operations(self.operations)
        self.heart.beat()
        self.heart.start()

    def begin_drain(self) -> None:
        """Let answers finish for a while, then hand them back."""
        timer = Timer(self.drain_s, self.host.running.drain)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        self.heart.stop()
        if self.engine is not None:
            self.engine.close()
        self.operations.close()
        try:
            self.roster.leave(self.name)
        except MathcodeError as error:
            logger.warning("left without signing off: %s", error)
        self.database.close()


def build_worker(queue: QueueName, name: str, *, settings: Settings, celery: Celery) -> WorkerProcess:
    """Connect and load everything a worker of `queue` needs. Raises ConfigurationError or DatabaseUnavailable.

    `name` must be of this process alone: it is part of the fence that protects others' answers.
    """
    database = Database(settings.require_database_url(), connections=settings.slots + 2)
    database.migrate()
    events = EventLog.connect(settings.require_redis_url())
    jobs, doorbell, running = JobStore(database), Doorbell(celery), Running()
    leases = LeaseStore(database, worker=name, lease_s=settings.lease_s)
    closer = Closer(jobs=jobs, events=events)
    roster = Roster(database, beat_s=settings.beat_s)
    repairs = RepairStore(database, max_attempts=settings.max_attempts)
    engine = _load_engine(queue, settings)
    executor = (
        Executor(engine=engine, leases=leases, events=events, doorbell=doorbell, running=running)
        if engine
        else None
    )

    sign = partial(_sign, roster, engine, name=name, queue=queue, slots=settings.slots)
    heart = Heart(leases=leases, running=running, engine=engine, sign=sign, interval_s=settings.beat_s)
    runs = RunStore(database)
    reconciler = Reconciler(
        repairs=repairs,
        closer=closer,
        doorbell=doorbell,
        roster=roster,
        runs=runs,
        max_attempts=settings.max_attempts,
        is_steady=heart.is_steady,
    )
    watcher = Watcher(runs=runs, manifests=ManifestStore(database), doorbell=doorbell, settings=settings)
    host = Host(running=running, closer=closer, reconciler=reconciler, watcher=watcher, executor=executor)
    return WorkerProcess(
        name=name,
        host=host,
        heart=heart,
        engine=engine,
        operations=Operations(engine),
        database=database,
        roster=roster,
        drain_s=settings.drain_s,
    )


def _sign(roster: Roster, engine: Engine | None, *, name: str, queue: QueueName, slots: int) -> None:
    metrics = engine.metrics() if engine else None
    version = metrics.version if metrics else None
    roster.sign(name=name, queue=queue.value, version=version, slots=slots, metrics=metrics)


def _load_engine(queue: QueueName, settings: Settings) -> Engine | None:
    if queue.model is None:
        return None
    if settings.profile is Profile.SCRIPTED:
        from ensemble.engine.scripted import ScriptedEngine

        return ScriptedEngine(
            model=queue.model,
            seconds_per_step=settings.scripted_delay_s,
            slots=settings.slots,
            default_max_tokens=settings.default_max_tokens,
        )
    from ensemble.engine.build import build_engine

    return build_engine(queue.model, settings)


def served_queue(names: set[str]) -> QueueName:
    """The one queue this process serves. Raises ConfigurationError."""
    servable = [name.value for name in QueueName if name is not QueueName.TRAINING]
    if len(names) != 1 or not names <= set(servable):
        raise ConfigurationError(f"a worker serves exactly one queue: start it with -Q and one of {servable}")
    return QueueName(names.pop())


class HostStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Builds the process before its pool starts and takes it down after the pool has ended."""

    label = "mathcode"

    def include_if(self, worker: Any) -> bool:
        """The training worker has a composition root of its own."""
        return set(worker.app.amqp.queues.consume_from) != {QueueName.TRAINING.value}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.process: WorkerProcess | None = None

    def create(self, worker: Any) -> None:
        try:
            queue = served_queue(set(worker.app.amqp.queues.consume_from))
            name = f"{queue.value}@{socket.gethostname()}:{os.getpid()}"
            self.process = build_worker(queue, name, settings=load_settings(), celery=worker.app)
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
