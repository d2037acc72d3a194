"""The periodic tasks, also after the clock of their host went back."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler
from celery.utils.time import maybe_make_aware

SLACK = timedelta(seconds=1)

logger = logging.getLogger(__name__)


class SteadyScheduler(PersistentScheduler):  # type: ignore[misc]  # untyped
    """Celery's own, which would send nothing until the clock shows again when each task was last sent."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; how many seconds to wait."""
        ahead = [entry for entry in self.schedule.values() if _age(entry) < -SLACK]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        if ahead:
            logger.warning("the clock of this host went back: periodic tasks begin anew")
            self._heap = None
        delay_s: float = super().tick(*args, **kwargs)
        return delay_s


def _age(entry: Any) -> timedelta:
    age: timedelta = maybe_make_aware(entry.default_now()) - maybe_make_aware(entry.last_run_at)
    return age
