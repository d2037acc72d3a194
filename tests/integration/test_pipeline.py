"""A run told to its end by the real pipeline, over a real ledger, with what takes long done already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest

from core.database import Database
from core.model_versions import VersionStore
from core.run_leases import RunLease
from core.settings import read_settings
from core.training import Purpose, TrainingOptions
from core.training_runs import Run, RunState, RunStore, Trigger
from stack.servers import ServerUrls
from tests.adapters import write_adapter
from tests.files_of_code import insert_files
from training.bootstrap import TrainingProcess, build_training_worker
from training.folder import Losses, RunFolder, Scores, TrainingResult
from training.folder_lock import folder_lock
from training.pulse import Hold
from training.stages import Stages

Worker = Callable[[str], TrainingProcess]


@pytest.fixture
def worker(urls: ServerUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Makes training workers of one installation, by name."""
    monkeypatch.setenv("DATABASE_URL", urls.database_url)
    monkeypatch.setenv("REDIS_URL", urls.redis_url)
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MATHCODE_TRAINER_PORT", "0")
    made: list[TrainingProcess] = []

    def make(name: str) -> TrainingProcess:
        made.append(build_training_worker(name, read_settings()))
        return made[-1]

    yield make
    for each in made:
        each.database.close()


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


@pytest.fixture
def folder(database: Database, runs: RunStore, tmp_path: Path) -> RunFolder:
    """Of run 1, which is trained, measured and better."""
    insert_files(database, 30)
    runs.claim(Trigger.OPERATOR, TrainingOptions.of(read_settings()))
    made = RunFolder(tmp_path / "training" / "run-1")
    write_adapter(made.adapter)
    result = TrainingResult(steps=1, tokens=1, seconds=1, micro_batch_rows=1)
    made.trained.write_text(result.model_dump_json(), encoding="utf-8")
    scores = Scores(candidate=_losses(1.0), serving=_losses(2.0), tasks=1, smoke=())
    made.scores.write_text(scores.model_dump_json(), encoding="utf-8")
    return made


def _losses(heldout: float) -> Losses:
    return Losses(losses={Purpose.HELDOUT: heldout}, passed=1)


class Overtaken(Stages):
    """Freezes when everything is measured, until another worker has the run."""

    def evaluate(self, folder: RunFolder, hold: Hold) -> Scores | None:
        scores = super().evaluate(folder, hold)
        with closing(Database(self.settings.require_database_url())) as database:
            database.execute("UPDATE training_run SET lease_until = now() - interval '1 second'")
            assert RunLease(database, worker="training@b:2", lease_s=0).begin(hold.claim.run_id)
        return scores


def test_a_run_that_is_measured_and_better_is_published_once(
    worker: Worker, folder: RunFolder, runs: RunStore, database: Database
) -> None:
    pipeline = worker("training@a:1").pipeline
    for _ in range(2):
        pipeline.train(1)
        run = runs.get(1)
        assert (run.state, run.version, run.attempt) == (RunState.PROMOTED, 1, 1), run.reasons
        assert [version.name for version in VersionStore(database).all()] == ["v1"]
    assert not folder.dataset.exists()


def test_a_worker_that_was_frozen_before_it_could_publish_publishes_nothing(
    worker: Worker, folder: RunFolder, runs: RunStore, database: Database
) -> None:
    frozen = worker("training@a:1").pipeline
    parts = {part.name: getattr(frozen.stages, part.name) for part in fields(frozen.stages)}
    replace(frozen, stages=Overtaken(**parts)).train(1)
    assert VersionStore(database).all() == []
    assert _is_underway(runs.get(1))
    worker("training@b:2").pipeline.train(1)
    assert runs.get(1).state is RunState.PROMOTED


def _is_underway(run: Run) -> bool:
    return (run.state, run.worker, run.attempt) == (RunState.RUNNING, "training@b:2", 2)


def test_a_run_whose_folder_is_taken_is_queued_again_and_says_by_whom(
    worker: Worker, folder: RunFolder, runs: RunStore
) -> None:
    pipeline = worker("training@a:1").pipeline
    with folder_lock(folder.path):
        pipeline.train(1)
    run = runs.get(1)
    assert (run.state, run.lost) == (RunState.QUEUED, 0)
    assert "still trains in" in run.notes[-1]
    pipeline.train(1)
    assert runs.get(1).state is RunState.PROMOTED
