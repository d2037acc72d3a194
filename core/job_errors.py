"""What is refused of jobs as they stand."""

from __future__ import annotations

from core.batch_errors import Conflict


class JobOpen(Conflict):
    """Only a job that has ended can be deleted."""

    code = "job_open"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} has not ended: cancel it, then delete it", param="id")


class JobInBatch(Conflict):
    """A line of a batch stays until the batch, which reads it then, has ended."""

    code = "job_in_batch"

    def __init__(self, job_id: str) -> None:
        problem = f"job {job_id} is a line of a batch that has not ended: wait for it, or cancel it"
        super().__init__(problem, param="id")
