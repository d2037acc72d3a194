"""Giving a job its final state once all its models have ended; the first to do so wins."""

from __future__ import annotations

from core.events import Done, EventLog
from core.jobs import JobStore
from ensemble import merging
from tasks.lanes import Lanes


class Closer:
    def __init__(self, *, jobs: JobStore, events: EventLog, lanes: Lanes) -> None:
        self._jobs = jobs
        self._events = events
        self._lanes = lanes

    def close_if_complete(self, job_id: str) -> bool:
        """Merge what the models gave and close the job; False if one still works or the job was closed before."""
        outcomes = self._jobs.outcomes(job_id)
        if outcomes is None:
            return False
        job = self._jobs.get(job_id)
        verdict = merging.merge(task_type=job.route.task_type, outcomes=outcomes)
        if not self._jobs.close(job_id, verdict):
            return False
        self._events.append(job_id, Done(status=verdict.state))
        self._lanes.advance(job.lane)
        return True
