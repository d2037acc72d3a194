"""The tasks of continuous training: beat has somebody look, one worker does a run."""

from __future__ import annotations

import logging

from core.errors import DatabaseUnavailable
from core.logs import about
from tasks.celery_app import app
from tasks.doorbell import TRAIN
from tasks.host import current_trainer, current_watcher

logger = logging.getLogger(__name__)


@app.task(name="mathcode.watch")
def watch() -> None:
    """Claim a training where enough new files are there."""
    try:
        current_watcher().look()
    except DatabaseUnavailable as error:
        logger.warning("nothing watched: %s", error)


@app.task(name=TRAIN)
def train(run_id: int) -> None:
    """Go on with a run; at a second delivery, or when it is another's, do nothing."""
    try:
        with about(run_id=run_id):
            current_trainer().train(run_id)
    except DatabaseUnavailable as error:
        logger.warning("run %s stays with the reconciler: %s", run_id, error)
