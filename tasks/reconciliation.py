"""Keeping the promise of the ledger: whatever was lost on the way is found and set going again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from core.errors import BrokerUnavailable, DatabaseUnavailable
from core.messages import ModelName, Priority
from core.options import WhileTraining
from core.repairs import Branch, RepairStore
from core.roster import Roster, paused_models
from core.training_runs import RunStore
from tasks.closing import Closer
from tasks.doorbell import Doorbell
from tasks.lanes import Lanes
from tasks.queues import QueueName

# A message younger than this may still be on its way.
GRACE_S = 2.0
# How long after deadline or cancellation an engine may need to stop by itself.
SLACK_S = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one pass mended."""

    taken_back: int
    ended: int
    merged: int
    announced: int
    trainings: int


NOTHING = Report(taken_back=0, ended=0, merged=0, announced=0, trainings=0)


class Reconciler:
    """One pass is safe at any time, also while another process makes one.

    `is_steady` says that the ledger has been within reach for a while. Right after an outage every lease has run
    out, and living workers shall renew theirs before anything is taken from the silent ones. `chores` come first.
    """

    def __init__(
        self,
        *,
        repairs: RepairStore,
        closer: Closer,
        doorbell: Doorbell,
        roster: Roster,
        runs: RunStore,
        lanes: Lanes,
        chores: Sequence[Callable[[], object]],
        max_attempts: int,
        is_steady: Callable[[], bool],
        hybrids: WhileTraining = WhileTraining.WAIT,
    ) -> None:
        self._hybrids = hybrids
        self._is_steady = is_steady
        self._repairs = repairs
        self._closer = closer
        self._doorbell = doorbell
        self._roster = roster
        self._runs = runs
        self._lanes = lanes
        self._chores = chores
        self._max_attempts = max_attempts
        self._ran_at = time.monotonic()
        self._turn = Lock()

    def reconcile_if_overdue(self, *, after_s: float) -> None:
        """A pass if none was made here for so long: beat is away, or Redis. Raises DatabaseUnavailable."""
        if time.monotonic() - self._ran_at >= after_s:
            self.reconcile()

    def reconcile(self) -> Report:
        """Raises DatabaseUnavailable; what was mended until then stays mended.

        Does nothing while a pass runs in this process: those that came in during an outage would all do the same.
        """
        if not self._turn.acquire(blocking=False):
            return NOTHING
        try:
            return self._pass()
        finally:
            self._turn.release()

    def _pass(self) -> Report:
        self._ran_at = time.monotonic()
        for chore in self._chores:
            chore()
        taken_back = self._repairs.reap() if self._is_steady() else []
        ended = self._repairs.end_overdue(slack_s=SLACK_S) + self._end_paused()
        freed = self._repairs.free_waiting()
        merged = sum(self._merge(job_id) for job_id in self._repairs.unmerged())
        for branch in (*taken_back, *freed):
            self._announce(branch)
        announced = self._lanes.advance_all() + sum(self._announce_forgotten(model) for model in ModelName)
        self._roster.forget_gone()
        trainings = self._mend_trainings()
        report = Report(
            taken_back=len(taken_back), ended=ended, merged=merged, announced=announced, trainings=trainings
        )
        if report != NOTHING:
            logger.info("mended: %s", report)
        return report

    def _end_paused(self) -> int:
        """End what hybrid jobs would wait for as long as a training takes, where the installation wants that."""
        if self._hybrids is WhileTraining.WAIT:
            return 0
        paused = paused_models(self._roster.alive())
        return self._repairs.end_paused(paused) if paused else 0

    def _merge(self, job_id: str) -> bool:
        try:
            return self._closer.close_if_complete(job_id)
        except DatabaseUnavailable:
            raise
        except Exception:  # one bad row must not keep all others from being mended
            logger.exception("job %s cannot be merged", job_id)
            return False

    def _announce_forgotten(self, model: ModelName) -> int:
        """Publish again for completions that wait while the queue holds too few messages for them."""
        try:
            messages = self._doorbell.messages(QueueName(model.value))
        except BrokerUnavailable as error:
            logger.warning("the queue of %s cannot be looked at: %s", model, error)
            return 0
        return sum(
            self._announce(branch)
            for priority in Priority
            for branch in self._repairs.unannounced(model, priority, messages=messages[priority], grace_s=GRACE_S)
        )

    def _mend_trainings(self) -> int:
        """Take runs back from vanished workers, and announce those that no message announces."""
        if self._is_steady():
            self._runs.reap(max_attempts=self._max_attempts)
        waiting = self._runs.waiting(grace_s=GRACE_S)
        try:
            if not waiting or any(self._doorbell.messages(QueueName.TRAINING).values()):
                return 0
        except BrokerUnavailable as error:
            logger.warning("the queue of trainings cannot be looked at: %s", error)
            return 0
        return sum(self._doorbell.announce_training(run_id) for run_id in waiting)

    def _announce(self, branch: Branch) -> bool:
        return self._doorbell.announce(branch.job_id, (branch.model,), branch.priority)
