"""The composition root of the training worker: `celery -A tasks.celery_app worker -Q training -c 1`.

Celery imports this module by name (`imports` in celeryconfig) in every worker; only one of the queue `training`
builds anything. It holds no model: what needs one runs in processes of its own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from core.card import CardStore
from core.database import Database
from core.errors import MathcodeError
from core.events import EventLog
from core.keys import KeyRing, KeyStore
from core.manifests import ManifestStore
from core.model_versions import VersionStore
from core.roster import Roster, new_worker_name
from core.run_leases import RunLease
from core.settings import Settings, load_settings
from core.training_runs import RunStore
from tasks.celery_app import app
from tasks.doorbell import Doorbell
from tasks.host import bind_trainer
from tasks.observing import TRAINER, build_observatory
from tasks.process_step import HostedProcess, ProcessStep
from tasks.queues import QueueName
from training.door import Door, open_door
from training.pipeline import Pipeline
from training.publishing import Publisher
from training.pulse import Pulse
from training.stages import Stages

CONNECTIONS = 6

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProcess:
    """Everything the training worker owns."""

    name: str
    pipeline: Pipeline
    pulse: Pulse
    roster: Roster
    database: Database
    door: Door | None

    def start(self) -> None:
        bind_trainer(self.pipeline)
        self.pulse.start()
        if self.door is not None:
            self.door.start()

    def begin_drain(self) -> None:
        """Have the running training save, and hand it back."""
        self.pulse.begin_stop()

    def close(self) -> None:
        if self.door is not None:
            self.door.close()
        self.pulse.stop()
        try:
            self.roster.leave(self.name)
        except MathcodeError as error:
            logger.warning("left without signing off: %s", error)
        self.database.close()


def build_training_worker(name: str, settings: Settings) -> TrainingProcess:
    """Connect everything; load nothing. Raises ConfigurationError or DatabaseUnavailable."""
    database = Database(settings.require_database_url(), connections=CONNECTIONS)
    database.migrate()
    roster = Roster(database, beat_s=settings.beat_s)
    sign = partial(roster.sign, name=name, queue=QueueName.TRAINING.value, version=None, slots=1, metrics=None)
    lease = RunLease(database, worker=name, lease_s=settings.lease_s)
    manifests, versions = ManifestStore(database), VersionStore(database)
    pulse = Pulse(lease=lease, sign=sign, interval_s=settings.beat_s)
    pipeline = Pipeline(
        runs=RunStore(database),
        lease=lease,
        manifests=manifests,
        versions=versions,
        publisher=Publisher(versions, settings.data_dir / "models"),
        stages=Stages(
            settings=settings, manifests=manifests, lease=lease, cards=CardStore(database), roster=roster
        ),
        pulse=pulse,
        kept_versions=settings.kept_versions,
    )
    return TrainingProcess(
        name=name,
        pipeline=pipeline,
        pulse=pulse,
        roster=roster,
        database=database,
        door=_open_door(settings, database, roster),
    )


def _open_door(settings: Settings, database: Database, roster: Roster) -> Door | None:
    """Raises ConfigurationError."""
    observatory = build_observatory(
        settings,
        database,
        events=EventLog.connect(settings.require_redis_url()),
        roster=roster,
        doorbell=Doorbell(app),
        scope=TRAINER,
    )
    return open_door(settings, observatory, KeyRing(KeyStore(database)))


class TrainingStep(ProcessStep):
    """Of the training worker alone."""

    label = "training"

    def include_if(self, worker: Any) -> bool:
        return set(worker.app.amqp.queues.consume_from) == {QueueName.TRAINING.value}

    def build(self, worker: Any) -> HostedProcess:
        name = new_worker_name(QueueName.TRAINING.value)
        return build_training_worker(name, load_settings())


app.steps["worker"].add(TrainingStep)
