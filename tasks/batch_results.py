"""The files of a batch that has ended, written as they are rendered: answers in one, all else in the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from core.batch_claims import Claim, ClaimLost
from core.batch_jobs import BatchJobStore
from core.batches import Batch, BatchState
from core.dialects.batch_lines import LineError, render_missing, render_result
from core.files import FileStore, FileWriter, file_uuid
from core.jobs import Job
from core.jsonl import RawLine
from core.messages import JobState
from tasks.batch_reading import BatchReader

LINES_AT_ONCE = 100

_REASONS = {
    BatchState.CANCELLED: LineError(
        code="batch_cancelled", message="the batch was cancelled before this line ended"
    ),
    BatchState.EXPIRED: LineError(code="batch_expired", message="the batch expired before this line ended"),
    BatchState.COMPLETED: LineError(
        code="not_answered",
        message="it was refused when its turn came, or its job was deleted: send it again by itself to see",
    ),
}
_ENDED_BY_BATCH = (JobState.CANCELLED, JobState.EXPIRED)


class _Results:
    """One file, begun with its first line."""

    def __init__(self, files: FileStore, batch: Batch) -> None:
        self._files = files
        self._batch = batch
        self._writer: FileWriter | None = None
        self.lines = 0

    def write(self, line: bytes) -> None:
        if self._writer is None:
            self._writer = self._files.create(purpose="batch_output", key_id=self._batch.key_id)
        self._writer.write(line)
        self.lines += 1

    def finish(self, filename: str) -> str | None:
        """Its id in the ledger, or None where there was no line."""
        if self._writer is None:
            return None
        return file_uuid(self._writer.finish(filename=filename, lives_s=self._batch.output_kept_s).id)

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.discard()


@dataclass(frozen=True, slots=True)
class BatchResults:
    reader: BatchReader
    jobs: BatchJobStore
    files: FileStore

    def write(self, claim: Claim) -> None:
        """Write both files and end the batch with them, or leave none. Raises ClaimLost or DatabaseUnavailable.

        Both follow from the ledger alone: whoever does this again writes the same.
        """
        batch = claim.batch
        output, errors = _Results(self.files, batch), _Results(self.files, batch)
        try:
            for some in _portions(self.reader.raw_lines(batch)):
                self._write_lines(batch, some, output, errors)
                claim.renew()
            claim.end(
                completed=output.lines,
                failed=errors.lines,
                output=output.finish(f"{batch.id}_output.jsonl"),
                error_file=errors.finish(f"{batch.id}_error.jsonl"),
            )
        except ClaimLost:
            output.discard()
            errors.discard()
            raise

    def _write_lines(self, batch: Batch, some: Sequence[RawLine], output: _Results, errors: _Results) -> None:
        jobs = self.jobs.of_lines(batch.uuid, first=some[0].number, last=some[-1].number)
        for raw in some:
            is_answered, line = self._render(batch, raw, jobs)
            (output if is_answered else errors).write(line)

    def _render(self, batch: Batch, raw: RawLine, jobs: Mapping[int, Sequence[Job]]) -> tuple[bool, bytes]:
        line, found = self.reader.parse(batch, raw), jobs.get(raw.number, ())
        id = f"batch_req_{batch.uuid}{raw.number:06x}"
        was_stopped = batch.outcome is not BatchState.COMPLETED and any(
            job.state in _ENDED_BY_BATCH for job in found
        )
        if was_stopped or len(found) != len(line.call.requests):
            return False, render_missing(line.custom_id, id=id, error=_REASONS[batch.outcome])
        return render_result(line, id=id, jobs=found)


def _portions(lines: Iterator[RawLine]) -> Iterator[list[RawLine]]:
    while some := list(islice(lines, LINES_AT_ONCE)):
        yield some
