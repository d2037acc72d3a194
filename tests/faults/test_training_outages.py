"""A training while what it stands on breaks: it goes on, on the same files, and every one is trained once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.database import Database
from core.manifests import ManifestStore
from core.training import Purpose
from core.training_runs import Run, RunState, RunStore
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, eventually, installation
from tests.trainings import SETTINGS, begin_training, ended, trainers_of
from training.dataset import DatasetSummary, RowSet, read_summary
from training.folder import RunFolder

STRICT = {**SETTINGS, "MATHCODE_MAX_ATTEMPTS": "2", "MATHCODE_LEASE_S": "2"}
JUDGED = (RunState.PROMOTED, RunState.REJECTED)


@dataclass(frozen=True, kw_only=True)
class Underway:
    """A run in the middle of its training, on servers of its own."""

    installed: Installation
    servers: EmbeddedServers
    runs: RunStore
    manifests: ManifestStore
    database: Database
    dataset: DatasetSummary
    manifest_hash: str

    def log(self, name: str) -> str:
        return self.installed.log(name).read_text(encoding="utf-8")

    def kill_server(self, name: str) -> None:
        (self.servers.postgres if name == "postgres" else self.servers.redis).kill()

    def require_whole(self, run: Run, *, untold: int = 0) -> None:
        """Of the manifest settled first every file was taken once, and every step made once, to the last token.

        So many steps may be missing in the curve: those that a worker made without being allowed to tell.
        """
        assert run.state in JUDGED, (run.reasons, run.notes)
        assert self.manifests.hash_of(run.id) == self.manifest_hash
        rows = self.database.fetch("SELECT purpose, file_id FROM training_file WHERE run_id = 1")
        trained = [row["file_id"] for row in rows if row["purpose"] in (Purpose.TRAIN, Purpose.HELDOUT)]
        taken = self.database.fetch("SELECT id FROM code_files WHERE run_id = 1")
        assert sorted(trained) == sorted(row["id"] for row in taken)
        assert len(set(trained)) == len(trained)
        steps = [step for step in self.runs.steps(1) if step.loss is not None]
        assert self.dataset.steps - untold <= len(steps) <= steps[-1].step == self.dataset.steps
        row_set = self.dataset.sets[RowSet.TRAINED]
        assert steps[-1].tokens == row_set.tokens * self.dataset.options.epochs


@contextmanager
def underway(data_dir: Path, *, epochs: int) -> Iterator[Underway]:
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        closing(Database(servers.urls.database_url)) as database,
        installation(
            database_url=servers.urls.database_url,
            redis_url=servers.urls.redis_url,
            data_dir=data_dir,
            settings={**STRICT, "TRAINING_EPOCHS": str(epochs)},
        ) as installed,
    ):
        database.migrate()
        runs, manifests = RunStore(database), ManifestStore(database)
        begin_training(installed, runs, database)
        dataset = read_summary(RunFolder(data_dir / "training" / "run-1"))
        assert dataset is not None
        yield Underway(
            installed=installed,
            servers=servers,
            runs=runs,
            manifests=manifests,
            database=database,
            dataset=dataset,
            manifest_hash=manifests.hash_of(1) or "",
        )


@pytest.fixture
def run_1(tmp_path: Path) -> Iterator[Underway]:
    with underway(tmp_path, epochs=1) as begun:
        yield begun


@pytest.fixture
def long_run(tmp_path: Path) -> Iterator[Underway]:
    """Goes on for longer than an outage lasts."""
    with underway(tmp_path, epochs=2) as begun:
        yield begun


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["postgres", "redis"])
def test_a_training_goes_on_while_a_server_is_killed_and_away_for_longer_than_its_lease(
    long_run: Underway, victim: str
) -> None:
    (trainer,) = trainers_of(long_run.installed.data_dir)
    long_run.kill_server(victim)
    if victim == "postgres":
        eventually(lambda: long_run.log("training").count("heartbeat missed") >= 5)
        long_run.servers.postgres.start()
    else:
        made = len(long_run.runs.steps(1))
        eventually(lambda: len(long_run.runs.steps(1)) > made + 2)
        long_run.servers.redis.start()
    assert trainer.is_running()
    run = ended(long_run.runs, 1, within_s=120)
    long_run.require_whole(run)
    assert (run.attempt, run.lost) == (1, 0)


@pytest.mark.timeout(300)
def test_after_everything_was_killed_at_once_a_training_is_resumed_from_its_checkpoint(run_1: Underway) -> None:
    checkpoints = RunFolder(run_1.installed.data_dir / "training" / "run-1").checkpoints
    eventually(lambda: list(checkpoints.glob("checkpoint-*")), within_s=60)
    for name in ("postgres", "redis"):
        run_1.kill_server(name)
    for name in ("training", "light", "beat"):
        run_1.installed.kill(name)
    eventually(lambda: not trainers_of(run_1.installed.data_dir), within_s=10)
    saved = max(int(each.name.partition("-")[2]) for each in checkpoints.glob("checkpoint-*"))
    run_1.servers.start()
    before = run_1.database.fetch("SELECT step, recorded_at FROM training_step WHERE loss IS NOT NULL")
    run_1.installed.start("light", "training", "beat")
    run = ended(run_1.runs, 1, within_s=120)
    run_1.require_whole(run)
    assert run.attempt == 2
    after = run_1.database.fetch("SELECT step, recorded_at FROM training_step WHERE loss IS NOT NULL")
    untouched = {row["step"] for row in after if row in before}
    assert untouched >= {row["step"] for row in before if row["step"] <= saved}


@pytest.mark.timeout(300)
def test_a_worker_that_was_frozen_and_comes_back_never_trains_beside_its_successor(run_1: Underway) -> None:
    installed = run_1.installed
    (trainer,) = trainers_of(installed.data_dir)
    installed.signal("training", signal.SIGSTOP)
    trainer.suspend()
    installed.start("training-2")
    eventually(lambda: run_1.runs.get(1).attempt >= 3, within_s=90)
    waiting = run_1.runs.get(1)
    assert f"process {trainer.pid} still trains" in waiting.notes[-1]
    trainer.resume()
    installed.signal("training", signal.SIGCONT)
    run = ended(run_1.runs, 1, within_s=120)
    run_1.require_whole(run, untold=2)
    assert sum("still trains" in note for note in run.notes) == 1
    eventually(lambda: "run 1 is another worker's now" in run_1.log("training"), within_s=20)
