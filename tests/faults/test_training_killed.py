"""A training whose trainer and workers are killed or stopped: the run goes on, and each step is made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.database import Database
from core.training_runs import RunState, RunStore
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation
from tests.trainings import SETTINGS, begin_training, ended, kill_trainer, mathcode, trainers_of


@pytest.fixture
def installed(urls: ServerUrls, tmp_path: Path) -> Iterator[Installation]:
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=tmp_path, settings=SETTINGS
    ) as made:
        yield made


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


@pytest.mark.timeout(500)
def test_a_run_survives_the_death_of_its_trainer_and_of_its_worker(
    installed: Installation, runs: RunStore, database: Database
) -> None:
    begin_training(installed, runs, database)
    kill_trainer(installed)
    steps = len(runs.steps(1))
    eventually(lambda: len(runs.steps(1)) > steps, within_s=60)
    installed.kill("training")
    eventually(lambda: not trainers_of(installed.data_dir), within_s=10)
    installed.start("training")
    run = ended(runs, 1)
    assert run.state is RunState.PROMOTED, run.reasons
    assert any("signal 9" in note for note in run.notes)
    assert run.lost == 1
    total = int(run.progress["steps"])
    assert [step.step for step in runs.steps(1) if step.loss is not None] == list(range(1, total + 1))


@pytest.mark.timeout(500)
def test_a_stopping_worker_hands_its_run_over_and_cancelling_gives_the_files_back(
    installed: Installation, runs: RunStore, database: Database
) -> None:
    begin_training(installed, runs, database)
    assert installed.terminate("training", within_s=150) == 0
    assert runs.get(1).state is RunState.QUEUED
    installed.start("training", MIN_NEW_FILES="100000")
    eventually(lambda: runs.get(1).state is RunState.RUNNING, within_s=30)
    finished = mathcode(installed, "train", "--cancel")
    assert finished.returncode == 0, finished.stderr
    assert ended(runs, 1).state is RunState.CANCELLED
    assert not trainers_of(installed.data_dir)
