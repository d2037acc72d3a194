"""Versions put into service while everything breaks: each candidate once, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from threading import Event

from core.database import Database
from core.errors import DatabaseUnavailable
from core.model_versions import NewVersion, VersionStore
from tests.adapters import write_adapter
from tests.faults.world import World

PROMOTIONS = 5


class Promoter:
    """Speaks to the ledger as the training worker does, through the same proxy."""

    def __init__(self, world: World, *, jobs: int, progress: Callable[[], int]) -> None:
        self._world = world
        self._jobs = jobs
        self._progress = progress

    def run(self) -> None:
        with closing(Database(self._world.running.database_url, connections=1)) as database:
            store = VersionStore(database)
            for number in range(1, PROMOTIONS + 1):
                while self._progress() < self._jobs * number // (PROMOTIONS + 1):
                    Event().wait(0.05)
                self._insist(store, number)

    def _insist(self, store: VersionStore, number: int) -> None:
        """Record and promote; what is asked again after a lost answer may have happened."""
        while True:
            try:
                store.promote(store.record(self._candidate(store, number)))
                return
            except DatabaseUnavailable:
                Event().wait(0.2)

    def _candidate(self, store: VersionStore, number: int) -> NewVersion:
        directory = write_adapter(self._world.running.data_dir / f"adapter-{number}", seed=number)
        weights = directory / "adapter_model.safetensors"
        return NewVersion(
            directory=directory,
            checksum=hashlib.sha256(weights.read_bytes()).hexdigest(),
            base_hash="none",
            manifest_hash=f"fuzz-{number}",
            parent=None,
            run_id=number,
        )
