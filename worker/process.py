"""The composition root of a worker: everything one process owns, built in the order in which it may be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from threading import Timer

from celery import Celery

from core.card import CardStore
from core.clock_steps import ClockSteps
from core.database import Database
from core.events import EventLog
from core.idempotency import IdempotencyStore
from core.jobs import JobStore
from core.keys import KeyRing, KeyStore
from core.lanes import LaneStore
from core.leases import LeaseStore
from core.limits import LimitStore
from core.manifests import ManifestStore
from core.messages import ModelName
from core.model_versions import VersionStore
from core.observing.gpus import GpuReader
from core.options import Device
from core.repairs import RepairStore
from core.retention import RetentionStore
from core.roster import Roster, WorkerState
from core.settings import Settings
from core.tracing import build_tracer
from core.training_runs import RunStore
from core.webhook_secrets import SecretStore
from core.webhooks import WebhookStore
from ensemble.router_files import WatchedRouter
from tasks.batches import Batches, build_batches
from tasks.closing import Closer
from tasks.corridor import build_admission, build_gate
from tasks.doorbell import Doorbell
from tasks.execution import Executor
from tasks.host import Host, bind_host
from tasks.janitor import Janitor
from tasks.lanes import Lanes
from tasks.ports import Engine
from tasks.queues import QueueName
from tasks.reconciliation import Reconciler
from tasks.running import Running
from tasks.served import ServedVersions
from tasks.submit import Defaults, Submitter
from tasks.watching import Watcher
from worker.adoption import Adoption
from worker.ceding import Ceding, await_card
from worker.consumption import Consumption
from worker.control import bind_operations
from worker.courier import Courier
from worker.engines import base_hash_of, load_engine
from worker.heart import Heart
from worker.operations import Operations
from worker.presence import Presence
from worker.rounds import Rounds

ADOPTS = ModelName.CODESTRAL
"""The one model that is trained."""
LONGEST_ROUND_S = 1.0
OVERDUE = 2.5
"""Of the reconciler's interval: after so long the light worker waits for nobody's message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """Everything one worker process owns."""

    host: Host
    heart: Heart
    engine: Engine | None
    operations: Operations
    adoption: Adoption | None
    rounds: Rounds
    database: Database
    presence: Presence
    courier: Courier | None
    drain_s: float

    def start(self) -> None:
        bind_host(self.host)
        bind_operations(self.operations, self.adoption)
        self.presence.sign()
        self.rounds.start()
        if self.courier is not None:
            self.courier.start()

    def begin_drain(self) -> None:
        """Let answers finish for a while, then hand them back."""
        timer = Timer(self.drain_s, self.host.running.drain)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        if self.courier is not None:
            self.courier.stop()
        self.rounds.stop()
        self.heart.stop()
        if self.engine is not None:
            self.engine.close()
        self.operations.close()
        self.presence.leave()
        self.database.close()


def build_worker(queue: QueueName, name: str, *, node: str, settings: Settings, celery: Celery) -> WorkerProcess:
    """Connect and load everything a worker of `queue` needs. Raises ConfigurationError or DatabaseUnavailable.

    `name` must be of this process alone: it is part of the fence that protects others' answers. `node` is Celery's
    name of it. From the first connection on it is in the roster, so that a training which wants the card waits
    for what is loading.
    """
    builder = _Builder(queue, name, settings=settings, celery=celery)
    builder.heart.beat()
    builder.heart.start()
    try:
        return builder.build(node)
    except BaseException:  # also SystemExit: whoever reads the roster shall not wait for this process
        builder.heart.stop()
        builder.presence.leave()
        raise


class _Builder:
    """Connections first, the model last."""

    def __init__(self, queue: QueueName, name: str, *, settings: Settings, celery: Celery) -> None:
        self._queue = queue
        self._settings = settings
        self._celery = celery
        self._running = Running()
        self._database = Database(settings.require_database_url(), connections=settings.slots + 5)
        self._database.migrate()
        self._events = EventLog.connect(settings.require_redis_url())
        self._leases = LeaseStore(self._database, worker=name, lease_s=settings.lease_s)
        self._cards = CardStore(self._database)
        self._roster = Roster(self._database, beat_s=settings.beat_s)
        self.presence = Presence(self._roster, name=name, queue=queue, slots=settings.slots, card=settings.card)
        self.heart = Heart(
            leases=self._leases,
            running=self._running,
            is_broken=self.presence.engine_broke,
            sign=self.presence.sign,
            interval_s=settings.beat_s,
        )
        self._round_s = min(LONGEST_ROUND_S, settings.beat_s)

    def build(self, node: str) -> WorkerProcess:
        if self._cedes:
            await_card(self._cards, self._settings.card, self.presence, interval_s=self._round_s)
        engine = self.presence.engine = load_engine(self._queue, self._settings)
        operations = Operations(engine)
        steps: list[Callable[[], None]] = []
        if engine is not None and self._cedes:
            steps.append(self._ceding(engine, operations, node).step)
        if self._queue.model is not None and self._settings.device is Device.CUDA:
            reader = GpuReader(self._settings.visible_devices)
            steps.append(partial(self.presence.look_at_gpus, reader.read))
        adoption = self._adoption(operations)
        if adoption is not None:
            adoption.step()
            steps.append(adoption.step)
        host = self._host(engine)
        if engine is None:
            overdue_s = OVERDUE * self._settings.reconcile_s
            steps.append(lambda: host.reconciler.reconcile_if_overdue(after_s=overdue_s))
        self.presence.state = WorkerState.SERVING
        return WorkerProcess(
            host=host,
            heart=self.heart,
            engine=engine,
            operations=operations,
            adoption=adoption,
            rounds=Rounds(steps, interval_s=self._round_s),
            database=self._database,
            presence=self.presence,
            courier=self._courier(),
            drain_s=self._settings.drain_s,
        )

    def _courier(self) -> Courier | None:
        """The light worker tells receivers of webhooks; it has no model that could wait for them."""
        if self._queue is not QueueName.LIGHT:
            return None
        database = self._database
        return Courier(WebhookStore(database), SecretStore(database), allowed=self._settings.webhook_networks)

    @property
    def _cedes(self) -> bool:
        return self._queue.value in self._settings.training_pauses

    def _ceding(self, engine: Engine, operations: Operations, node: str) -> Ceding:
        return Ceding(
            cards=self._cards,
            card=self._settings.card,
            engine=engine,
            operations=operations,
            running=self._running,
            consumption=Consumption(self._celery, queue=self._queue.value, node=node),
            presence=self.presence,
            drain_s=self._settings.drain_s,
        )

    def _adoption(self, operations: Operations) -> Adoption | None:
        if self._queue.model is not ADOPTS:
            return None
        return Adoption(
            versions=VersionStore(self._database),
            operations=operations,
            presence=self.presence,
            base_hash=cache(lambda: base_hash_of(ADOPTS, self._settings)),
        )

    def _host(self, engine: Engine | None) -> Host:
        doorbell = Doorbell(self._celery)
        lanes = Lanes(
            store=LaneStore(self._database),
            roster=self._roster,
            doorbell=doorbell,
            low_share=self._settings.low_share,
        )
        jobs, tracer = JobStore(self._database), build_tracer(self._settings, self._queue.value)
        closer = Closer(jobs=jobs, events=self._events, lanes=lanes, tracer=tracer)
        runs = RunStore(self._database)
        watcher = Watcher(
            runs=runs, manifests=ManifestStore(self._database), doorbell=doorbell, settings=self._settings
        )
        settings = self._settings
        clock = ClockSteps(self._database, lease_s=settings.lease_s, card_lease_s=settings.card_lease_s)
        reconciler = Reconciler(
            repairs=RepairStore(self._database, max_attempts=self._settings.max_attempts),
            closer=closer,
            doorbell=doorbell,
            roster=self._roster,
            runs=runs,
            lanes=lanes,
            chores=(clock.settle, IdempotencyStore(self._database).prune),
            max_attempts=self._settings.max_attempts,
            is_steady=self.heart.is_steady,
            hybrids=self._settings.hybrid_while_training,
        )
        executor = (
            Executor(
                engine=engine,
                leases=self._leases,
                events=self._events,
                doorbell=doorbell,
                running=self._running,
                lanes=lanes,
                tracer=tracer,
            )
            if engine is not None
            else None
        )
        return Host(
            running=self._running,
            closer=closer,
            reconciler=reconciler,
            watcher=watcher,
            executor=executor,
            batches=self._batches(doorbell, closer, lanes),
            janitor=Janitor(RetentionStore(self._database), self._events, days=self._settings.retention_days),
        )

    def _batches(self, doorbell: Doorbell, closer: Closer, lanes: Lanes) -> Batches | None:
        if self._queue is not QueueName.LIGHT:
            return None
        submitter = Submitter(
            jobs=JobStore(self._database),
            router=WatchedRouter(self._settings),
            admission=build_admission(self._settings),
            doorbell=doorbell,
            closer=closer,
            lanes=lanes,
            served=ServedVersions(self._roster),
            gate=build_gate(self._settings, KeyRing(KeyStore(self._database)), LimitStore(self._database)),
            idempotency=IdempotencyStore(self._database),
            defaults=Defaults(deadline_s=self._settings.deadline_s),
        )
        return build_batches(self._database, self._settings, submitter=submitter, lanes=lanes)
