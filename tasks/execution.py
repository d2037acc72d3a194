"""The story of one completion: claim it, generate it, record it, tell who waits for it."""

from __future__ import annotations

import logging
import time
from enum import Enum, auto
from threading import Event

from core.errors import DatabaseUnavailable
from core.events import Done, EventLog, Piece, Restarted
from core.leases import Claim, LeaseStore, Refusal
from core.logs import about
from core.messages import Failure, FailureCode, ModelName, Outcome, TaskType
from core.tracing import NO_TRACES, Tracer
from core.work import Delta, Work
from ensemble import merging, prompting
from tasks.completion_trace import trace_completion
from tasks.doorbell import Doorbell
from tasks.lanes import Lanes
from tasks.ports import Engine
from tasks.running import Held, Running, StopReason

# How long a finished text is kept in hand while the database is away.
RECORD_RETRY_S = 0.25
RECORD_TRIES = 240

logger = logging.getLogger(__name__)


class Disposition(Enum):
    """What became of one message."""

    FINISHED = auto()
    DONE_BEFORE = auto()  # nothing to do any more
    BUSY = auto()  # another process holds it, or will
    HANDED_BACK = auto()  # this process is stopping; the message shall be delivered elsewhere


class Executor:
    """Generates completions with one engine; called from as many threads as the engine has slots."""

    def __init__(
        self,
        *,
        engine: Engine,
        leases: LeaseStore,
        events: EventLog,
        doorbell: Doorbell,
        running: Running,
        lanes: Lanes,
        tracer: Tracer = NO_TRACES,
    ) -> None:
        self._engine = engine
        self._leases = leases
        self._events = events
        self._doorbell = doorbell
        self._running = running
        self._lanes = lanes
        self._tracer = tracer

    def execute(self, job_id: str, model: ModelName, *, merge_follows: bool) -> Disposition:
        """Do one completion; `merge_follows` says that the queue itself calls merge when all models are done."""
        if not self._engine.alive or self._running.is_closed:  # about to end, or for others to do
            return Disposition.BUSY
        claim = self._leases.claim(job_id, model)
        if isinstance(claim, Refusal):
            return Disposition.BUSY if claim is Refusal.BUSY else Disposition.DONE_BEFORE
        with about(job_id=job_id, model=model.value, attempt=claim.attempt), self._running.hold(claim) as held:
            start = time.time()
            outcome = self._generate(held)
            trace_completion(self._tracer, claim, outcome, start=start, end=time.time())
            if held.reason is StopReason.LOST or not self._engine.alive:
                return Disposition.BUSY
            if held.reason is StopReason.DRAINED and isinstance(outcome, Failure):
                self._leases.release(claim)
                return Disposition.HANDED_BACK
            self._record(claim, outcome, merge_follows=merge_follows)
        return Disposition.FINISHED

    def _generate(self, held: Held) -> Outcome:
        claim = held.claim
        if claim.attempt > 1:
            self._events.append(claim.job_id, Restarted(model=claim.model, attempt=claim.attempt))
        outcome = self._ask_engine(claim, _work(claim, held.stop, notes=claim.notes))
        if claim.notes and isinstance(outcome, Failure) and outcome.code is FailureCode.PROMPT_TOO_LONG:
            outcome = self._ask_engine(claim, _work(claim, held.stop, notes=None))  # it was accepted without them
        logger.info("job %s %s attempt %d: %s", claim.job_id, claim.model, claim.attempt, _summary(outcome))
        return outcome

    def _ask_engine(self, claim: Claim, work: Work) -> Outcome:
        for item in self._engine.generate(work):
            if not isinstance(item, Delta):
                return item
            self._events.append(claim.job_id, Piece(model=claim.model, attempt=claim.attempt, text=item.text))
        raise RuntimeError(f"the engine of {claim.model} ended without an outcome")

    def _record(self, claim: Claim, outcome: Outcome, *, merge_follows: bool) -> None:
        """Write the outcome down, waiting out a database that is away for a while."""
        for _ in range(RECORD_TRIES):
            try:
                if claim.task_type is TaskType.HYBRID:
                    self._finish_branch(claim, outcome, merge_follows=merge_follows)
                else:
                    self._finish_job(claim, outcome)
                return
            except DatabaseUnavailable as error:
                logger.warning("the answer to job %s is kept in hand: %s", claim.job_id, error)
                time.sleep(RECORD_RETRY_S)
        logger.error("the answer to job %s is given up, another worker will repeat it", claim.job_id)

    def _finish_job(self, claim: Claim, outcome: Outcome) -> None:
        verdict = merging.merge(task_type=claim.task_type, outcomes=[outcome])
        finish = self._leases.finish_job(claim, outcome, verdict)
        if finish is not None:
            logger.info("job %s ended: %s", claim.job_id, verdict.state)
            self._events.append(claim.job_id, Done(status=verdict.state))
            if finish.lane_holds:
                self._lanes.ended(claim.lane)

    def _finish_branch(self, claim: Claim, outcome: Outcome, *, merge_follows: bool) -> None:
        finish = self._leases.finish(claim, outcome)
        if finish is None:
            return
        if finish.released:
            self._doorbell.announce(claim.job_id, finish.released, claim.request.priority)
        elif finish.is_complete and not merge_follows:
            self._doorbell.announce_merge(claim.job_id, claim.request.priority)


def _work(claim: Claim, stop: Event, *, notes: str | None) -> Work:
    messages = prompting.compose(claim.request, model=claim.model, task_type=claim.task_type, notes=notes)
    return Work(
        messages=messages,
        sampling=claim.request.sampling,
        priority=claim.request.priority,
        deadline=claim.deadline,
        version=claim.request.version,
        cancelled=stop,
    )


def _summary(outcome: Outcome) -> str:
    """What may stand in a log: never text."""
    if isinstance(outcome, Failure):
        return f"failed ({outcome.code})"
    return f"{outcome.completion_tokens} tokens in {outcome.seconds:.3f} s"
