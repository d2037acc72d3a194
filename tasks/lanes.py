"""How far a lane is announced, and the announcing of what it held back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

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


@dataclass(frozen=True, slots=True)
class Places:
    """What serves a queue: how many workers, and how many jobs they take at once."""

    workers: int = 0
    slots: int = 0


class Lanes:
    """Thread-safe. `low_share` is the part of the slots that low priority, such as batches, may take.

    The lanes of low priority divide it, each with one job at least, so that several keys or kinds leave slots too.
    """

    def __init__(self, *, store: LaneStore, roster: Roster, doorbell: Doorbell, low_share: float) -> None:
        self._store = store
        self._roster = roster
        self._doorbell = doorbell
        self._low_share = low_share
        self._places: Mapping[str, Places] = {}
        self._low_kinds: Sequence[TaskType] = ()  # of each lane of low priority that holds jobs
        self._fresh_until = 0.0
        self._lock = Lock()
        self._ended: dict[Lane, int] = {}

    def window(self, task_type: TaskType, priority: Priority) -> int:
        """How many jobs of one lane may be announced and open. Raises DatabaseUnavailable."""
        slots = self._scarcest(task_type).slots
        if priority is Priority.LOW and slots > 0:
            return max(1, int(slots * self._low_share) // self._low_lanes(task_type))
        return slots + max(SPARE, slots // 2)

    def ended(self, lane: Lane) -> int:
        """A job of the lane has ended here and others are held: announce them, several at a time.

        A statement for several costs as much as for one.
        """
        try:
            batch = self._batch(lane)
        except DatabaseUnavailable as error:
            return _leave(lane, error)
        with self._lock:
            self._ended[lane] = self._ended.get(lane, 0) + 1
            if self._ended[lane] < batch:
                return 0
            del self._ended[lane]
        return self.advance(lane)

    def advance(self, lane: Lane) -> int:
        """Announce what now fits the window; while the database is away nothing, the reconciler does it later."""
        try:
            freed = self._store.advance(lane, window=self.window(lane.task_type, lane.priority))
        except DatabaseUnavailable as error:
            return _leave(lane, error)
        for job in freed:
            self._doorbell.announce(job.job_id, job.models, lane.priority)
        return len(freed)

    def advance_all(self) -> int:
        """All lanes that hold jobs: for those whose jobs ended without anybody advancing them."""
        return sum(self.advance(lane) for lane in self._store.held())

    def _batch(self, lane: Lane) -> int:
        """Half of this process's share of what is announced beyond the slots: so no slot waits for the rest."""
        places = self._scarcest(lane.task_type)
        spare = self.window(lane.task_type, lane.priority) - places.slots
        return max(1, spare // (2 * max(1, places.workers)))

    def _low_lanes(self, task_type: TaskType) -> int:
        """How many share the queue of this kind that most of them need, one at least."""
        kinds = [prompting.models_for(kind) for kind in self._low_kinds]
        return max(1, *(sum(model in models for models in kinds) for model in prompting.models_for(task_type)))

    def _scarcest(self, task_type: TaskType) -> Places:
        """Of the queues that a job of this kind needs, the one that takes the fewest at once."""
        places = self._read_places()
        queues = [places.get(model.value, Places()) for model in prompting.models_for(task_type)]
        return min(queues, key=lambda each: each.slots)

    def _read_places(self) -> Mapping[str, Places]:
        if time.monotonic() >= self._fresh_until:
            found: dict[str, Places] = {}
            for worker in self._roster.alive():
                known = found.get(worker.queue, Places())
                found[worker.queue] = Places(known.workers + 1, known.slots + worker.slots)
            self._low_kinds = [lane.task_type for lane in self._store.held() if lane.priority is Priority.LOW]
            self._places, self._fresh_until = found, time.monotonic() + FRESH_S
        return self._places


def _leave(lane: Lane, error: DatabaseUnavailable) -> int:
    logger.warning("the lane %s is not advanced now: %s", lane, error)
    return 0
