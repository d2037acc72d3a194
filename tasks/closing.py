"""Giving a job its final state once all its models have ended; the first to do so wins."""

from __future__ import annotations

import logging
import time

from core.events import Done, EventLog
from core.jobs import JobStore
from core.logs import about
from core.tracing import NO_TRACES, Tracer
from ensemble import merging
from tasks.lanes import Lanes

logger = logging.getLogger(__name__)


class Closer:
    def __init__(self, *, jobs: JobStore, events: EventLog, lanes: Lanes, tracer: Tracer = NO_TRACES) -> None:
        self._jobs = jobs
        self._events = events
        self._lanes = lanes
        self._tracer = tracer

    def close_if_complete(self, job_id: str) -> bool:
        """Merge what the models gave and close the job; False if one still works or the job was closed before."""
        start = time.time()
        outcomes = self._jobs.outcomes(job_id)
        if outcomes is None:
            return False
        job = self._jobs.get(job_id)
        verdict = merging.merge(task_type=job.route.task_type, outcomes=outcomes, question=job.request.prompt)
        if not self._jobs.close(job_id, verdict):
            return False
        with about(job_id=job_id):
            logger.info("job %s ended: %s", job_id, verdict.state)
        self._events.append(job_id, Done(status=verdict.state))
        self._tracer.add(
            job_id, "merge", start=start, end=time.time(), attributes={"mathcode.state": verdict.state.value}
        )
        self._lanes.advance(job.lane)
        return True
