"""The input of a batch, line by line, and the check of all its lines before any is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from core.batch_claims import Claim
from core.batches import Batch
from core.dialects.batch_lines import BatchLine, parse_line
from core.errors import InvalidRequest
from core.files import FileStore
from core.jsonl import RawLine, split_lines
from core.messages import Strategy
from tasks.submit import Submitter

MOST_ERRORS = 100
"""So many bad lines of a batch are listed."""
RENEWED_LINES = 500


class BatchReader:
    """`longest` bounds a line, in bytes, `most_lines` their number."""

    def __init__(self, files: FileStore, *, longest: int, most_lines: int, strategy: Strategy) -> None:
        self._files = files
        self._longest = longest
        self._strategy = strategy
        self.most_lines = most_lines

    def raw_lines(self, batch: Batch, *, line: int = 0, position: int = 0) -> Iterator[RawLine]:
        """Those that are not blank, from byte `position`, where the line after number `line` begins."""
        pieces = self._files.read(batch.input_file_id, position=position)
        lines = split_lines(pieces, longest=self._longest, number=line, position=position)
        return (raw for raw in lines if not raw.is_blank)

    def parse(self, batch: Batch, raw: RawLine) -> BatchLine:
        """Raises InvalidRequest."""
        return parse_line(raw.content, endpoint=batch.endpoint, default_strategy=self._strategy)


@dataclass(frozen=True, slots=True)
class Checked:
    """How many lines there are, and what is wrong with some of them: `{code, line, message, param}` each."""

    total: int
    errors: list[dict[str, Any]]


class BatchChecker:
    """Reads all lines of a batch and holds none; of each custom_id it keeps 16 bytes."""

    def __init__(self, reader: BatchReader, submitter: Submitter) -> None:
        self._reader = reader
        self._submitter = submitter

    def check(self, claim: Claim) -> Checked:
        """Raises ClaimLost where the batch is cancelled meanwhile."""
        seen: dict[bytes, int] = {}
        errors: list[dict[str, Any]] = []
        total = 0
        for raw in self._reader.raw_lines(claim.batch):
            total += 1
            if total > self._reader.most_lines or len(errors) >= MOST_ERRORS:
                break
            try:
                self._check_line(claim.batch, raw, seen)
            except InvalidRequest as error:
                errors.append(_error(error, raw.number))
            if total % RENEWED_LINES == 0 and not claim.renew().takes_lines:
                break
        if total > self._reader.most_lines:
            problem = f"there are more than {self._reader.most_lines} requests: make several batches of them"
            errors.append(_error(InvalidRequest(problem, code="too_many_lines"), None))
        if total == 0:
            errors.append(
                _error(InvalidRequest("there is no request in the file: add one", code="empty_file"), None)
            )
        return Checked(total, errors)

    def _check_line(self, batch: Batch, raw: RawLine, seen: dict[bytes, int]) -> None:
        line = self._reader.parse(batch, raw)
        name = blake2b(line.custom_id.encode(), digest_size=16).digest()
        earlier = seen.setdefault(name, raw.number)
        if earlier != raw.number:
            problem = f"custom_id is that of line {earlier}: give each line one of its own"
            raise InvalidRequest(problem, param="custom_id", code="duplicate_custom_id")
        for request in line.call.requests:
            self._submitter.check(request)


def _error(error: InvalidRequest, line: int | None) -> dict[str, Any]:
    """As the ledger can carry it: names that a line brings along may hold anything."""
    texts = {"message": error.message, "param": error.param}
    storable = {
        name: text.replace("\0", "\N{REPLACEMENT CHARACTER}") if text else text for name, text in texts.items()
    }
    return {"code": error.code, "line": line, **storable}
