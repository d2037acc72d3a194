"""Tasks that beat sends at intervals."""

from __future__ import annotations

import logging

from core.errors import DatabaseUnavailable
from tasks.celery_app import app
from tasks.host import current_host

logger = logging.getLogger(__name__)


@app.task(name="mathcode.reconcile")
def reconcile() -> None:
    try:
        current_host().reconciler.reconcile()
    except DatabaseUnavailable as error:
        logger.warning("nothing reconciled: %s", error)


@app.task(name="mathcode.prune")
def prune() -> None:
    """Forget what ended longer ago than it is kept."""
    try:
        current_host().janitor.prune()
    except DatabaseUnavailable as error:
        logger.warning("nothing pruned: %s", error)
