"""Tasks that beat sends at intervals."""

from __future__ import annotations

import logging

from core.errors import DatabaseUnavailable
from tasks.celery_app import app
from tasks.doorbell import BATCHES
from tasks.host import current_batches, current_host

logger = logging.getLogger(__name__)


@app.task(name="mathcode.reconcile")
def reconcile() -> None:
    try:
        current_host().reconciler.reconcile()
    except DatabaseUnavailable as error:
        logger.warning("nothing reconciled: %s", error)


@app.task(name=BATCHES)
def advance_batches() -> None:
    """Also sent whenever a batch is made or cancelled."""
    try:
        current_batches().advance_all()
    except DatabaseUnavailable as error:
        logger.warning("batches wait: %s", error)


@app.task(name="mathcode.prune")
def prune() -> None:
    """Forget what ended longer ago than it is kept."""
    try:
        current_host().janitor.prune()
    except DatabaseUnavailable as error:
        logger.warning("nothing pruned: %s", error)
