"""The ledger of trainings: one at a time, leased, never lost, never ended twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from core.database import Database
from core.errors import RunNotFound
from core.manifests import FileRef, ManifestStore
from core.run_leases import RunClaim, RunLease
from core.settings import read_settings
from core.training import Purpose, TrainingOptions
from core.training_runs import RunState, RunStore, Step, Trigger
from tests.files_of_code import insert_files


@pytest.fixture
def options() -> TrainingOptions:
    return TrainingOptions.of(read_settings())


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


@pytest.fixture
def manifests(database: Database) -> ManifestStore:
    return ManifestStore(database)


def lease_of(database: Database, *, worker: str = "training@a:1", lease_s: float = 30.0) -> RunLease:
    return RunLease(database, worker=worker, lease_s=lease_s)


def begun(runs: RunStore, lease: RunLease, options: TrainingOptions) -> RunClaim:
    run_id = runs.claim(Trigger.OPERATOR, options)
    assert run_id is not None
    claim = lease.begin(run_id)
    assert claim is not None
    return claim


def test_of_many_that_claim_at_once_one_gets_a_run(
    urls: object, database: Database, runs: RunStore, options: TrainingOptions
) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: runs.claim(Trigger.THRESHOLD, options), range(24)))
    assert len([run_id for run_id in claimed if run_id is not None]) == 1


def test_of_many_workers_that_begin_a_run_one_has_it(
    database: Database, runs: RunStore, options: TrainingOptions
) -> None:
    run_id = runs.claim(Trigger.THRESHOLD, options)
    assert run_id is not None
    leases = [lease_of(database, worker=f"training@{n}:1") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda lease: lease.begin(run_id), leases))
    assert len([claim for claim in claims if claim]) == 1


def test_a_run_lost_by_its_worker_goes_on_under_another_one_and_the_first_changes_nothing(
    database: Database, runs: RunStore, options: TrainingOptions
) -> None:
    gone, successor = lease_of(database, lease_s=0.0), lease_of(database, worker="training@b:2")
    lost = begun(runs, gone, options)
    assert runs.reap(max_attempts=3) == [lost.run_id]
    claim = successor.begin(lost.run_id)
    assert claim == RunClaim(lost.run_id, lost.attempt + 1)
    assert gone.renew(lost) is None
    assert not gone.finish(lost, RunState.PROMOTED, reasons=["late"])
    assert not gone.log_steps(lost, [Step(step=1, loss=1.0)])
    assert successor.finish(claim, RunState.REJECTED, reasons=["no better"])
    run = runs.get(lost.run_id)
    assert (run.state, run.reasons, run.lost) == (RunState.REJECTED, ["no better"], 1)


def test_a_run_that_loses_worker_after_worker_fails_and_gives_its_files_back(
    database: Database, runs: RunStore, manifests: ManifestStore, options: TrainingOptions
) -> None:
    insert_files(database, 3)
    lease = lease_of(database, lease_s=0.0)
    claim = begun(runs, lease, options)
    files = [FileRef(file.id, "r", "p", f"h{file.id}") for file in manifests.new_files(min_quality_score=70)]
    assert manifests.write(
        claim, {Purpose.TRAIN: files}, taken=[file.id for file in files], manifest_hash="x", parent=None
    )
    assert manifests.corpus(min_quality_score=70).new_files == 0
    for _ in range(3):
        runs.reap(max_attempts=3)
        lease.begin(claim.run_id)
    run = runs.get(claim.run_id)
    assert run.state is RunState.FAILED
    assert "lost its worker 3 times" in run.reasons[0]
    runs.free_files()
    assert manifests.corpus(min_quality_score=70).new_files == 3


def test_a_manifest_is_settled_once(
    database: Database, runs: RunStore, manifests: ManifestStore, options: TrainingOptions
) -> None:
    insert_files(database, 4)
    claim = begun(runs, lease_of(database), options)
    files = [FileRef(file.id, "r", "p", f"h{file.id}") for file in manifests.new_files(min_quality_score=70)]
    first = manifests.write(claim, {Purpose.TRAIN: files}, taken=[1, 2], manifest_hash="a", parent=None)
    second = manifests.write(claim, {Purpose.TRAIN: files[:1]}, taken=[3], manifest_hash="b", parent=None)
    assert (first, second) == (True, False)
    assert manifests.counts(claim.run_id) == {Purpose.TRAIN: 4}
    assert manifests.hash_of(claim.run_id) == "a"
    texts = list(manifests.contents(claim.run_id, Purpose.TRAIN))
    assert len(texts) == 4
    assert manifests.corpus(min_quality_score=70).new_files == 2


def test_a_step_that_is_done_again_is_written_over_and_keeps_its_held_out_loss(
    database: Database, runs: RunStore, options: TrainingOptions
) -> None:
    lease = lease_of(database)
    claim = begun(runs, lease, options)
    lease.log_steps(claim, [Step(step=1, loss=3.0), Step(step=2, loss=2.0, heldout_loss=2.5)])
    lease.log_steps(claim, [Step(step=2, loss=1.9)])
    curve = [(step.step, step.loss, step.heldout_loss) for step in runs.steps(claim.run_id)]
    assert curve == [(1, 3.0, None), (2, 1.9, 2.5)]
    assert [step.step for step in runs.steps(claim.run_id, after=1)] == [2]


def test_cancelling_ends_a_queued_run_and_asks_the_worker_of_a_running_one(
    database: Database, runs: RunStore, options: TrainingOptions
) -> None:
    queued = runs.claim(Trigger.OPERATOR, options)
    assert queued is not None
    assert runs.request_cancel(queued).state is RunState.CANCELLED
    lease = lease_of(database)
    claim = begun(runs, lease, options)
    assert lease.renew(claim) is True
    assert runs.request_cancel(claim.run_id).state is RunState.RUNNING
    assert lease.renew(claim) is False


def test_rows_of_strangers_are_no_new_files_while_they_cannot_be_trained(
    database: Database, manifests: ManifestStore
) -> None:
    with closing(Database(database.url)) as stranger:
        for score in ("NULL", "'NaN'", "69.9", "101", "-5", "'Infinity'"):
            stranger.execute(
                f"INSERT INTO code_files (repo, path, content, quality_score) VALUES ('r', 'p', 'x', {score})"
            )
        stranger.execute("INSERT INTO code_files (repo, path, quality_score) VALUES ('r', 'q', 90)")
    assert manifests.corpus(min_quality_score=70).new_files == 0
    insert_files(database, 2)
    assert manifests.corpus(min_quality_score=70).new_files == 2


def test_a_run_that_does_not_exist_is_said_by_its_number(runs: RunStore) -> None:
    with pytest.raises(RunNotFound, match="no training run 7"):
        runs.get(7)
