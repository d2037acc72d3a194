"""The task that ends a hybrid job: body of its chord."""

from __future__ import annotations

from tasks.celery_app import app
from tasks.doorbell import MERGE
from tasks.host import current_host


@app.task(name=MERGE)
def merge(job_id: str) -> None:
    """Safe to run at any time: the ledger says whether all models have ended."""
    current_host().closer.close_if_complete(job_id)
