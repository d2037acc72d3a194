"""What is kept of what a training says: all of it, whatever it says, also when the ledger was away meanwhile."""

from __future__ import annotations

import math
import threading
from contextlib import closing

import pytest

from core.database import Database
from core.run_leases import MOST_NOTES, RunClaim, RunLease
from core.settings import read_settings
from core.training import TrainingOptions
from core.training_runs import RunState, RunStore, Trigger
from stack.servers import EmbeddedServers, scratch_data_dir
from training import chronicle as chronicle_module
from training.chronicle import Chronicle
from training.folder import EVENTS, AliveEvent, Event, FailedEvent, HeldoutEvent, NoteEvent, StepEvent


@pytest.fixture
def lease(database: Database) -> RunLease:
    return RunLease(database, worker="training@a:1", lease_s=600)


@pytest.fixture
def claim(database: Database, lease: RunLease) -> RunClaim:
    return claim_of(database, lease)


def claim_of(database: Database, lease: RunLease) -> RunClaim:
    run_id = RunStore(database).claim(Trigger.OPERATOR, TrainingOptions.of(read_settings()))
    assert run_id is not None
    claim = lease.begin(run_id)
    assert claim is not None
    return claim


def step(number: int, *, loss: float = 2.0) -> StepEvent:
    return StepEvent(step=number, steps=10, loss=loss, learning_rate=1e-4, tokens=100 * number, tokens_per_s=50.0)


def kept(lease: RunLease, claim: RunClaim, *events: Event) -> Chronicle:
    chronicle = Chronicle(lease, claim, stage="train")
    for event in events:
        chronicle.keep(event)
    chronicle.write()
    return chronicle


def curve(database: Database, run_id: int) -> list[tuple[int, float | None, float | None]]:
    return [(each.step, each.loss, each.heldout_loss) for each in RunStore(database).steps(run_id)]


def test_steps_and_looks_at_the_held_out_set_make_the_curve_and_the_latest_the_progress(
    database: Database, lease: RunLease, claim: RunClaim
) -> None:
    kept(lease, claim, step(1), HeldoutEvent(step=1, loss=2.5), AliveEvent(stage="compiling"), step(2, loss=1.5))
    assert curve(database, claim.run_id) == [(1, 2.0, 2.5), (2, 1.5, None)]
    run = RunStore(database).get(claim.run_id)
    assert (run.stage, run.progress["step"], run.progress["loss"]) == ("train", 2, 1.5)
    assert run.progress["heldout_loss"] == 2.5
    assert 0 <= run.progress["eta_s"] < 600


def test_a_held_out_loss_that_comes_before_any_step_is_in_the_curve(
    database: Database, lease: RunLease, claim: RunClaim
) -> None:
    kept(lease, claim, HeldoutEvent(step=1, loss=2.5))
    assert curve(database, claim.run_id) == [(1, None, 2.5)]
    assert RunStore(database).get(claim.run_id).progress == {}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_is_left_out_and_stops_nothing(
    database: Database, lease: RunLease, claim: RunClaim, number: float
) -> None:
    events = (step(1), HeldoutEvent(step=1, loss=number), step(2, loss=number))
    as_said = [EVENTS.validate_json(event.model_dump_json()) for event in events]
    kept(lease, claim, *as_said)
    assert curve(database, claim.run_id) == [(1, 2.0, None), (2, None, None)]
    assert RunStore(database).get(claim.run_id).progress["heldout_loss"] is None


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("status 1 (\0\0ELF)", "status 1 (\ufffd\ufffdELF)"),
        ("half \ud800 of a pair", "half ? of a pair"),
        ("\x1b[2J 100 % 'quoted' %s {} \\u0000", "\x1b[2J 100 % 'quoted' %s {} \\u0000"),
        ("", ""),
    ],
)
def test_whatever_a_broken_process_said_is_noted_and_may_be_why_the_run_ended(
    database: Database, lease: RunLease, claim: RunClaim, said: str, stored: str
) -> None:
    chronicle = kept(lease, claim, NoteEvent(message=said), FailedEvent(code="disk_full", message=said))
    assert chronicle.failure is not None
    assert lease.finish(claim, RunState.FAILED, reasons=[chronicle.failure.message])
    run = RunStore(database).get(claim.run_id)
    assert (run.notes, run.reasons) == ([stored], [stored])


def test_the_same_note_again_and_again_is_kept_once_and_notes_do_not_grow_for_ever(
    database: Database, lease: RunLease, claim: RunClaim
) -> None:
    kept(lease, claim, *(NoteEvent(message=text) for text in ("busy", "busy", "torn", "busy")))
    assert RunStore(database).get(claim.run_id).notes == ["busy", "torn", "busy"]
    kept(lease, claim, *(NoteEvent(message=str(number)) for number in range(MOST_NOTES + 5)))
    assert len(RunStore(database).get(claim.run_id).notes) == MOST_NOTES


def test_of_a_run_that_is_another_ones_nothing_is_written(
    database: Database, lease: RunLease, claim: RunClaim
) -> None:
    database.execute("UPDATE training_run SET attempt = attempt + 1")
    kept(lease, claim, step(1), NoteEvent(message="late"))
    run = RunStore(database).get(claim.run_id)
    assert (run.notes, run.stage, run.progress, curve(database, claim.run_id)) == ([], None, {}, [])


def test_what_is_said_while_the_ledger_is_away_is_written_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chronicle_module, "WRITE_INTERVAL_S", 0.0)
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        closing(Database(servers.urls.database_url)) as database,
    ):
        database.migrate()
        lease = RunLease(database, worker="training@a:1", lease_s=600)
        claim = claim_of(database, lease)
        chronicle = Chronicle(lease, claim, stage="train")
        chronicle.keep(step(1))
        servers.postgres.kill()
        for event in (step(2), NoteEvent(message="halved"), HeldoutEvent(step=2, loss=2.5), step(3)):
            chronicle.keep(event)
        servers.postgres.start()
        chronicle.keep(step(4))
        assert curve(database, claim.run_id) == [(1, 2.0, None), (2, 2.0, 2.5), (3, 2.0, None), (4, 2.0, None)]
        run = RunStore(database).get(claim.run_id)
        assert (run.notes, run.progress["step"]) == (["halved"], 4)
        servers.postgres.kill()
        chronicle.keep(step(5))
        end = threading.Thread(target=chronicle.finish, args=(threading.Event(),))
        end.start()
        servers.postgres.start()
        end.join(30)
        assert curve(database, claim.run_id)[-1] == (5, 2.0, None)


def test_the_last_words_of_a_run_that_is_held_no_longer_are_not_waited_for(
    database: Database, lease: RunLease, claim: RunClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    chronicle, stopped = Chronicle(lease, claim, stage="train"), threading.Event()
    monkeypatch.setattr(chronicle, "write", lambda: False)
    stopped.set()
    chronicle.finish(stopped)
