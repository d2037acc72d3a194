"""Control commands a worker obeys at once, besides Celery's own."""

from __future__ import annotations

from typing import Any

from celery.worker.control import control_command

from tasks.doorbell import CANCEL
from tasks.host import current_host


@control_command(name=CANCEL, args=[("job_id", str)], signature="[job_id]")
def cancel_job(state: Any, job_id: str) -> dict[str, int]:
    """Stop this process's completions of one job."""
    return {"stopped": current_host().running.cancel(job_id)}
