"""A batch's lines become jobs, some hundred at a time; while the ledger takes some in, the next are read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

from core.batch_claims import Claim
from core.batch_jobs import BatchJobStore
from core.batches import Batch
from core.errors import InvalidRequest
from core.jobs import NewJob, Origin
from core.jsonl import RawLine
from core.lanes import Lane
from tasks.batch_reading import BatchReader
from tasks.lanes import Lanes
from tasks.submit import Submitter

LINES_AT_ONCE = 500
BYTES_AT_ONCE = 4_194_304
SLACK_S = 60.0
"""So much later than its batch a job expires by itself: the batch ends its jobs many at a time."""


@dataclass(frozen=True, slots=True)
class _Portion:
    """Jobs of some lines, the last of which is `line`; the next one begins at byte `position`."""

    jobs: list[NewJob]
    line: int
    position: int


class BatchEnqueuer:
    def __init__(self, *, reader: BatchReader, submitter: Submitter, jobs: BatchJobStore, lanes: Lanes) -> None:
        self._reader = reader
        self._submitter = submitter
        self._jobs = jobs
        self._lanes = lanes

    def enqueue(self, claim: Claim) -> None:
        """Every line that is no job yet becomes one; to be called again where it broke off. Raises ClaimLost."""
        batch, lanes = claim.batch, set[Lane]()
        with ThreadPoolExecutor(1, thread_name_prefix="batch-insert") as inserter:
            inserting: Future[None] | None = None
            for portion in self._portions(batch):
                if inserting is not None:
                    inserting.result()
                inserting = inserter.submit(
                    self._jobs.insert_many, claim, portion.jobs, line=portion.line, position=portion.position
                )
                lanes |= self._begin(lanes, portion)
            if inserting is not None:
                inserting.result()
        claim.enqueued()
        for lane in lanes:
            self._lanes.advance(lane)

    def _begin(self, known: set[Lane], portion: _Portion) -> set[Lane]:
        """The first jobs need not wait for the last; what this announces too early the reconciler announces."""
        new = {job.lane for job in portion.jobs} - known
        for lane in new:
            self._lanes.advance(lane)
        return new

    def _portions(self, batch: Batch) -> Iterator[_Portion]:
        lines = self._reader.raw_lines(batch, line=batch.line, position=batch.position)
        while some := _take(lines):
            jobs = [job for raw in some for job in self._prepare(batch, raw)]
            yield _Portion(jobs, some[-1].number, some[-1].end)

    def _prepare(self, batch: Batch, raw: RawLine) -> list[NewJob]:
        """None for a line that is refused although it was in order: its version is not served any more."""
        left_s = max(0.0, (batch.expires_at - datetime.now(UTC)).total_seconds()) + SLACK_S
        try:
            requests = self._reader.parse(batch, raw).call.requests
            jobs = []
            for choice, request in enumerate(requests):
                origin = Origin(
                    key_id=batch.key_id, batch_id=batch.uuid, batch_line=raw.number, batch_choice=choice
                )
                job = self._submitter.prepare(request, origin)
                jobs.append(replace(job, deadline_s=min(request.deadline_s or left_s, left_s)))
        except InvalidRequest:
            return []
        return jobs


def _take(lines: Iterator[RawLine]) -> list[RawLine]:
    """The next lines, bounded in number and bytes."""
    some: list[RawLine] = []
    size = 0
    for raw in islice(lines, LINES_AT_ONCE):
        some.append(raw)
        size += len(raw.content or b"")
        if size >= BYTES_AT_ONCE:
            break
    return some
