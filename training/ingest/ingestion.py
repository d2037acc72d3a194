"""The story of an ingest: read what is new of a repository, judge it, store it without copies, a batch at a time.

Each batch is stored whole or not at all, so an ingest that is interrupted goes on where it stopped when run again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from core.code_files import CodeFile, CodeFileStore
from training.ingest.assessment import Assessor, Context, RawFile, read
from training.ingest.duplicates import Duplicates
from training.ingest.licences import Licences
from training.ingest.quality import is_test
from training.ingest.sources import Repository

BATCH_FILES = 512
BATCH_BYTES = 16 * 1024 * 1024

Progress = Callable[[int], None]
"""Told how many more files are done with."""


@dataclass(slots=True)
class Tally:
    """What became of the files looked at. `unchanged` ones were decided by an earlier ingest."""

    kept: int = 0
    unchanged: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def count(self, files: list[CodeFile]) -> None:
        self.kept += sum(file.is_kept for file in files)
        self.rejected.update(file.rejection for file in files if file.rejection is not None)


class Ingestion:
    """Fills `code_files`; `declared` is the licence the operator states for everything ingested by this object."""

    def __init__(self, store: CodeFileStore, assessor: Assessor, *, declared: str | None = None) -> None:
        self._store = store
        self._assessor = assessor
        self._duplicates = Duplicates(store)
        self._declared = declared
        self.tally = Tally()

    def ingest(self, repository: Repository, progress: Progress) -> None:
        """Bring one repository up to date. Raises DatabaseUnavailable."""
        context = Context(
            repo=repository.name,
            commit=repository.commit,
            licences=Licences(repository.root, declared=self._declared, packaged=repository.packaged),
            has_tests=any(map(is_test, repository.paths)),
        )
        for found, batch in self._batches(repository):
            self._take(batch, context)
            self.tally.unchanged += found - len(batch)
            progress(found)

    def _take(self, batch: list[RawFile], context: Context) -> None:
        if batch:
            self.tally.count(self._duplicates.store(self._assessor.assess(batch, context)))

    def _batches(self, repository: Repository) -> Iterator[tuple[int, list[RawFile]]]:
        """How many files were looked at, and those of them that are new."""
        known = self._store.known(repository.name)
        found, size, batch = 0, 0, list[RawFile]()
        for path in repository.paths:
            file = read(repository.root, path)
            found += 1
            if (file.path, file.blob_hash) not in known:
                known.add((file.path, file.blob_hash))
                batch.append(file)
                size += len(file.data or b"")
            if found >= BATCH_FILES or size >= BATCH_BYTES:
                yield found, batch
                found, size, batch = 0, 0, []
        yield found, batch
