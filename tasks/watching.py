"""Looking for new files of code: past a threshold one training is claimed, whoever looks and how often."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from core.manifests import ManifestStore
from core.settings import Settings
from core.training import TrainingOptions
from core.training_runs import Run, RunState, RunStore, Trigger
from tasks.doorbell import Doorbell

LOOKED_BACK = 10
LONGEST_PAUSE = timedelta(days=1)

logger = logging.getLogger(__name__)


class Watcher:
    """One look is safe at any time, also while another one is taken."""

    def __init__(
        self, *, runs: RunStore, manifests: ManifestStore, doorbell: Doorbell, settings: Settings
    ) -> None:
        self._runs = runs
        self._manifests = manifests
        self._doorbell = doorbell
        self._settings = settings

    def look(self) -> int | None:
        """The number of the run that was claimed, if one was. Raises DatabaseUnavailable."""
        self._runs.free_files()
        options = TrainingOptions.of(self._settings)
        corpus = self._manifests.corpus(min_quality_score=options.min_quality_score)
        if corpus.new_files < self._settings.min_new_files:
            return None
        interval = timedelta(seconds=self._settings.check_interval_s)
        if datetime.now(UTC) < not_before(self._runs.latest(LOOKED_BACK), interval=interval):
            return None
        run_id = self._runs.claim(Trigger.THRESHOLD, options)
        if run_id is not None:
            logger.info("training run %s: %s new files", run_id, corpus.new_files)
            self._doorbell.announce_training(run_id)
        return run_id


def not_before(latest: Sequence[Run], *, interval: timedelta) -> datetime:
    """When the next run may begin, given the latest ones: after failures, the pause doubles with each."""
    failed = list(takewhile(lambda run: run.state is RunState.FAILED, latest))
    if not failed or failed[0].finished_at is None:
        return datetime.min.replace(tzinfo=UTC)
    factor: int = 2 ** min(len(failed), LOOKED_BACK)
    return failed[0].finished_at + min(min(interval, LONGEST_PAUSE) * factor, LONGEST_PAUSE)
