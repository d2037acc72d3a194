"""Batches from state to state: a look at all open ones, safe at any time, also while others look."""

from __future__ import annotations

import logging
from collections.abc import Set
from dataclasses import dataclass

from core.batch_claims import Claim, ClaimLost, ClaimStore, OpenBatch
from core.batch_jobs import BatchJobStore
from core.batches import BatchState
from core.database import Database
from core.errors import DatabaseUnavailable
from core.files import FileStore
from core.messages import FailureCode, JobState
from core.settings import Settings
from tasks.batch_enqueuing import BatchEnqueuer
from tasks.batch_reading import BatchChecker, BatchReader
from tasks.batch_results import BatchResults
from tasks.batch_turns import Turns
from tasks.lanes import Lanes
from tasks.submit import Submitter

logger = logging.getLogger(__name__)

_ENDINGS = {
    BatchState.CANCELLED: (FailureCode.CANCELLED, JobState.CANCELLED, "its batch was cancelled before it began"),
    BatchState.EXPIRED: (FailureCode.EXPIRED, JobState.EXPIRED, "its batch expired before it began"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """What the light worker does for batches."""

    claims: ClaimStore
    files: FileStore
    jobs: BatchJobStore
    checker: BatchChecker
    enqueuer: BatchEnqueuer
    results: BatchResults
    submitter: Submitter
    turns: Turns

    def advance_all(self) -> None:
        """Take every open batch as far as it goes now, or leave that to others. Raises DatabaseUnavailable."""
        if not self.turns.enter():
            return
        try:
            self._look()
            while not self.turns.leave():
                self._look()
        except BaseException:
            self.turns.give_up()
            raise

    def _look(self) -> None:
        self.claims.cancel_revoked()
        seen = set[str]()
        while (batch := self._next(seen)) is not None:
            seen.add(batch.uuid)
            try:
                if (claim := self.claims.claim(batch.uuid)) is not None:
                    self._advance(claim)
            finally:
                self.turns.put_back(batch.key_id)
        self.files.prune()

    def _next(self, seen: Set[str]) -> OpenBatch | None:
        """Read afresh each time: while a large batch was advanced others may have come, of keys that have none."""
        unseen = (batch for batch in self.claims.open() if batch.uuid not in seen)
        return next((batch for batch in unseen if self.turns.take(batch.key_id)), None)

    def _advance(self, claim: Claim) -> None:
        try:
            self._step(claim)
        except ClaimLost:
            pass
        except DatabaseUnavailable:
            raise
        except Exception:  # one bad batch must not keep the others waiting; its claim runs out first
            logger.exception("batch %s cannot be advanced", claim.batch.id)
            return
        claim.release()

    def _step(self, claim: Claim) -> None:
        if claim.batch.is_overdue and claim.batch.takes_lines:
            claim.expire()
        if claim.batch.takes_lines:
            self._take_in(claim)
        if claim.batch.state.is_final:
            return
        if claim.batch.outcome is not BatchState.COMPLETED:
            self._stop(claim)
        if self._has_ended(claim):
            if claim.batch.state in (BatchState.VALIDATING, BatchState.IN_PROGRESS):
                claim.finalize()
            self._finish(claim)

    def _take_in(self, claim: Claim) -> None:
        if claim.batch.state is BatchState.VALIDATING:
            checked = self.checker.check(claim)
            if not claim.renew().takes_lines:
                return
            if checked.errors:
                claim.fail(checked.errors)
                return
            claim.begin(checked.total)
        if not claim.batch.is_enqueued:
            self.enqueuer.enqueue(claim)

    def _stop(self, claim: Claim) -> None:
        """End what has not begun, many at a time; ask for the end of what has."""
        code, state, message = _ENDINGS[claim.batch.outcome]
        while self.jobs.sweep(claim.batch.uuid, code=code, state=state, message=message):
            claim.renew()
        for job_id in self.jobs.uncancelled(claim.batch.uuid):
            self.submitter.cancel(job_id)

    def _has_ended(self, claim: Claim) -> bool:
        """Count the lines; True when none is open and none will come."""
        if claim.batch.state is BatchState.FINALIZING:
            return True
        tally = self.jobs.tally(claim.batch.uuid)
        if (tally.completed, tally.failed) != (claim.batch.completed, claim.batch.failed):
            claim.count(completed=tally.completed, failed=tally.failed)
        is_whole = claim.batch.is_enqueued or claim.batch.outcome is not BatchState.COMPLETED
        return is_whole and tally.open == 0

    def _finish(self, claim: Claim) -> None:
        if claim.batch.was_begun:
            self.results.write(claim)
        else:
            claim.end(completed=0, failed=0, output=None, error_file=None)


def build_batches(database: Database, settings: Settings, *, submitter: Submitter, lanes: Lanes) -> Batches:
    files, jobs = FileStore(database), BatchJobStore(database)
    reader = BatchReader(
        files,
        longest=settings.max_body_bytes,
        most_lines=settings.max_batch_lines,
        strategy=settings.strategy,
    )
    return Batches(
        claims=ClaimStore(database, lease_s=settings.lease_s),
        files=files,
        jobs=jobs,
        checker=BatchChecker(reader, submitter),
        enqueuer=BatchEnqueuer(reader=reader, submitter=submitter, jobs=jobs, lanes=lanes),
        results=BatchResults(reader, jobs, files),
        submitter=submitter,
        turns=Turns(settings.slots),
    )
