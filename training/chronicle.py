"""Keeps what the children of a run say, in the ledger: the curve, the progress, notes. Never stops a training."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from threading import Event
from typing import Any

from core.errors import DatabaseUnavailable
from core.run_leases import RunClaim, RunLease
from core.training_runs import Step
from training.folder import AliveEvent, FailedEvent, HeldoutEvent, NoteEvent, StepEvent
from training.folder import Event as Told

WRITE_INTERVAL_S = 1.0

logger = logging.getLogger(__name__)


class Chronicle:
    """Of one stage of one attempt; what cannot be written now is kept and written later."""

    def __init__(self, lease: RunLease, claim: RunClaim, *, stage: str) -> None:
        self._lease = lease
        self._claim = claim
        self._stage = stage
        self._written = 0.0
        self._first: StepEvent | None = None
        self._first_at = 0.0
        self._latest: StepEvent | None = None
        self._heldout: float | None = None
        self._steps: dict[int, Step] = {}
        self._notes: list[str] = []
        self.failure: FailedEvent | None = None
        """The child's own account of why it ended, if it gave one."""

    def keep(self, event: Told) -> None:
        match event:
            case StepEvent():
                if self._first is None:
                    self._first, self._first_at = event, time.monotonic()
                self._latest = event
                self._add(event.step, **event.model_dump(exclude={"event", "step", "steps"}))
            case HeldoutEvent():
                self._heldout = event.loss
                self._add(event.step, heldout_loss=event.loss)
            case NoteEvent():
                self.note(event.message)
            case FailedEvent():
                self.failure = event
            case AliveEvent():
                pass
        if time.monotonic() - self._written > WRITE_INTERVAL_S:
            self.write()

    def note(self, message: str) -> None:
        logger.info("run %s: %s", self._claim.run_id, message)
        self._notes.append(message)

    def finish(self, stopped: Event) -> None:
        """Write what is kept, however long the ledger is away, unless the run is held no longer."""
        while not self.write() and not stopped.wait(WRITE_INTERVAL_S):
            pass

    def write(self) -> bool:
        """Write what is kept; False if the ledger cannot be reached."""
        self._written = time.monotonic()
        try:
            while self._notes:
                self._lease.note(self._claim, self._notes[0])
                del self._notes[0]
            if self._steps:
                self._lease.log_steps(self._claim, list(self._steps.values()))
                self._steps.clear()
            self._lease.report(self._claim, stage=self._stage, progress=self._progress())
        except DatabaseUnavailable as error:
            logger.warning("run %s goes on, its progress is written later: %s", self._claim.run_id, error)
            return False
        return True

    def _add(self, step: int, **figures: Any) -> None:
        self._steps[step] = replace(self._steps.get(step) or Step(step=step), **figures)

    def _progress(self) -> dict[str, object]:
        if self._first is None or self._latest is None:
            return {}
        latest = self._latest
        return {
            **latest.model_dump(exclude={"event"}),
            "heldout_loss": self._heldout,
            "eta_s": self._eta_s(self._first, latest),
        }

    def _eta_s(self, first: StepEvent, latest: StepEvent) -> float | None:
        """Seconds left, at the pace since the first step of this attempt."""
        if latest.step == first.step:
            return None
        elapsed = time.monotonic() - self._first_at
        return round(elapsed * (latest.steps - latest.step) / (latest.step - first.step), 1)
