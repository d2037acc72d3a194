"""The task that answers with one model."""

from __future__ import annotations

import logging

from celery import Task
from celery.exceptions import Ignore, Reject

from core.errors import DatabaseUnavailable
from core.messages import ModelName
from tasks.celery_app import app
from tasks.doorbell import GENERATE
from tasks.execution import Disposition
from tasks.host import current_executor

logger = logging.getLogger(__name__)


@app.task(name=GENERATE, bind=True)
def generate(self: Task, job_id: str, model: str) -> bool:
    """Never fails on purpose; returns the same value at every delivery, so that a chord counts it once."""
    try:
        merge_follows = self.request.chord is not None
        disposition = current_executor().execute(job_id, ModelName(model), merge_follows=merge_follows)
    except DatabaseUnavailable as error:
        logger.warning("job %s stays with the reconciler: %s", job_id, error)
        raise Ignore from error
    if disposition is Disposition.HANDED_BACK:
        raise Reject("this worker is stopping", requeue=True)
    if disposition is Disposition.BUSY:
        raise Ignore
    return True
