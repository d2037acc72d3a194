"""How far a lane is announced, and the announcing of what it held back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from core.errors import DatabaseUnavailable
from core.lanes import Lane, LaneStore
from core.messages import Priority, TaskType
from core.roster import Roster
from ensemble import prompting
from tasks.doorbell import Doorbell

SPARE = 4
"""At least so many jobs are announced beyond what workers take at once, so that no slot waits for the next one."""
FRESH_S = 2.0

logger = logging.getLogger(__name__)


class Lanes:
    """Thread-safe. `low_share` is the part of the slots that low priority, such as batches, may take."""

    def __init__(self, *, store: LaneStore, roster: Roster, doorbell: Doorbell, low_share: float) -> None:
        self._store = store
        self._roster = roster
        self._doorbell = doorbell
        self._low_share = low_share
        self._slots: Mapping[str, int] = {}
        self._fresh_until = 0.0

    def window(self, task_type: TaskType, priority: Priority) -> int:
        """How many jobs of one lane may be announced and open. Raises DatabaseUnavailable."""
        slots = self._read_slots()
        fewest = min(slots.get(model.value, 0) for model in prompting.models_for(task_type))
        if priority is Priority.LOW and fewest > 0:
            return max(1, int(fewest * self._low_share))
        return fewest + max(SPARE, fewest // 2)

    def advance(self, lane: Lane) -> int:
        """Announce what now fits the window; while the database is away nothing, the reconciler does it later."""
        try:
            freed = self._store.advance(lane, window=self.window(lane.task_type, lane.priority))
        except DatabaseUnavailable as error:
            logger.warning("the lane %s is not advanced now: %s", lane, error)
            return 0
        for job in freed:
            self._doorbell.announce(job.job_id, job.models, lane.priority)
        return len(freed)

    def advance_all(self) -> int:
        """All lanes that hold jobs: for those whose jobs ended without anybody advancing them."""
        return sum(self.advance(lane) for lane in self._store.held())

    def _read_slots(self) -> Mapping[str, int]:
        if time.monotonic() >= self._fresh_until:
            slots: dict[str, int] = {}
            for worker in self._roster.alive():
                slots[worker.queue] = slots.get(worker.queue, 0) + worker.slots
            self._slots, self._fresh_until = slots, time.monotonic() + FRESH_S
        return self._slots
