"""A training run as the ledger would give it, for tests of what is decided from earlier ones."""

from __future__ import annotations

from datetime import datetime

from core.training import TrainingOptions
from core.training_runs import Run, RunState, Trigger


def earlier_run(
    state: RunState, options: TrainingOptions, *, id: int, created_at: datetime, finished_at: datetime | None
) -> Run:
    """Of one attempt, with nothing to tell."""
    return Run(
        id=id,
        state=state,
        trigger=Trigger.THRESHOLD,
        options=options,
        attempt=1,
        lost=0,
        worker=None,
        stage=None,
        parent=None,
        version=None,
        progress={},
        scores=None,
        reasons=(),
        notes=(),
        cancel_requested=False,
        created_at=created_at,
        started_at=None,
        finished_at=finished_at,
    )
