"""The task that ends a hybrid job: body of its chord."""

from __future__ import annotations

import logging

from core.errors import DatabaseUnavailable
from tasks.celery_app import app
from tasks.doorbell import MERGE
from tasks.host import current_host

logger = logging.getLogger(__name__)


@app.task(name=MERGE)
def merge(job_id: str) -> None:
    """Safe to run at any time: the ledger says whether all models have ended."""
    try:
        current_host().closer.close_if_complete(job_id)
    except DatabaseUnavailable as error:
        logger.warning("merging job %s stays with the reconciler: %s", job_id, error)
