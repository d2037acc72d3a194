"""The only door to the queue: route, check, write the ledger, ring."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from core.errors import DatabaseUnavailable
from core.idempotency import IdempotencyStore, Once
from core.jobs import Job, JobStore, NewJob, Origin
from core.logs import about
from core.messages import GenerationRequest, ModelName, PromptForm, Route, Strategy, TaskType
from ensemble import prompting
from ensemble.routing.router import Router
from tasks.admission import Admission
from tasks.closing import Closer
from tasks.doorbell import Doorbell
from tasks.gate import Gate
from tasks.lanes import Lanes
from tasks.served import ServedVersions

logger = logging.getLogger(__name__)

ANYBODY = Origin()
TRIES = 3


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job, and whether an earlier request with the same idempotency key had it already."""

    job: Job
    is_replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a job gets that asks for nothing else."""

    deadline_s: float
    webhook_url: str | None = None


class Submitter:
    """Accepts and cancels jobs, whichever door the request came through."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        router: Router,
        admission: Admission,
        doorbell: Doorbell,
        closer: Closer,
        lanes: Lanes,
        served: ServedVersions,
        gate: Gate,
        idempotency: IdempotencyStore,
        defaults: Defaults,
    ) -> None:
        self._jobs = jobs
        self._router = router
        self._admission = admission
        self._doorbell = doorbell
        self._closer = closer
        self._lanes = lanes
        self._served = served
        self._gate = gate
        self._idempotency = idempotency
        self._defaults = defaults

    def submit(self, request: GenerationRequest, origin: Origin = ANYBODY) -> Job:
        """Accept a job: once this returns it will end, even if the broker is away now.

        Raises InvalidRequest, LimitReached or QueueFull (nothing was stored), or DatabaseUnavailable (it is not
        known to be stored).
        """
        new = self._admitted(request, origin)
        return self._announce(new, self._jobs.insert(new))

    def submit_once(self, request: GenerationRequest, origin: Origin = ANYBODY, *, once: Once) -> Submitted:
        """As `submit`, but the same idempotency key gives the same job, which no limit refuses then.

        Raises IdempotencyConflict as well, where the key stands for another request.
        """
        for _ in range(TRIES):  # the job a key stands for may vanish, with its key, between two looks
            if job_id := self._idempotency.find(once):
                return Submitted(self._jobs.get(job_id), is_replayed=True)
            new = self._admitted(request, origin)
            if job := self._jobs.insert_once(new, once):
                return Submitted(self._announce(new, job), is_replayed=False)
        raise DatabaseUnavailable("the job of this Idempotency-Key is being deleted: try again later")

    def prepare(self, request: GenerationRequest, origin: Origin = ANYBODY) -> NewJob:
        """The job as it would be accepted, whatever the limits say; nothing is stored.

        Raises InvalidRequest or DatabaseUnavailable.
        """
        route = self._route(request)
        self._admission.check(request, route)
        self._served.check(request, route.task_type)
        models = prompting.models_for(route.task_type)
        is_sequential = route.task_type is TaskType.HYBRID and request.strategy is Strategy.SEQUENTIAL
        return NewJob(
            request=request,
            route=route,
            models=models,
            waiting=frozenset(models[1:]) if is_sequential else frozenset[ModelName](),
            deadline_s=request.deadline_s or self._defaults.deadline_s,
            window=self._lanes.window(route.task_type, request.priority),
            origin=origin,
        )

    def check(self, request: GenerationRequest) -> None:
        """Raise what `prepare` would, without routing what fits wherever it goes."""
        if request.version is not None or not self._admission.surely_fits(request):
            self.prepare(request)

    def _admitted(self, request: GenerationRequest, origin: Origin) -> NewJob:
        """The job, let in by the gate."""
        webhook_url = origin.webhook_url or self._defaults.webhook_url
        new = self.prepare(request, replace(origin, webhook_url=webhook_url))
        self._gate.admit(request, new.models, origin.key_id)
        return new

    def _announce(self, new: NewJob, job: Job) -> Job:
        with about(job_id=job.id):
            logger.info("job %s accepted: %s, %s", job.id, new.route.task_type, new.request.priority)
        if not job.is_held:
            can_begin = [model for model in new.models if model not in new.waiting]
            self._doorbell.announce(job.id, can_begin, new.request.priority)
        return job

    def _route(self, request: GenerationRequest) -> Route:
        """Bare text has one continuation: where both models would answer, the code model does."""
        route = self._router.route(request.prompt, request.force_task_type)
        if request.form is PromptForm.TEXT and route.task_type is TaskType.HYBRID:
            return route.model_copy(update={"task_type": TaskType.CODE})
        return route

    def cancel(self, job_id: str) -> Job:
        """Cancel whatever the job's state; a final one stays as it is. Raises JobNotFound."""
        self._jobs.request_cancel(job_id)
        job = self._jobs.get(job_id)
        if not job.state.is_final and not self._closer.close_if_complete(job.id):
            self._doorbell.announce_cancel(job.id)
        return self._jobs.get(job_id)
