"""The ledger after the clock of its server went back: nothing waits for the old clock to come again."""

from __future__ import annotations

import pytest

from core.clock_steps import ClockSteps
from core.database import Database
from core.repairs import RepairStore
from tests.harness import Installation

BACK = "interval '1 hour'"


@pytest.fixture
def clock(database: Database) -> ClockSteps:
    return ClockSteps(database, lease_s=6, card_lease_s=30)


def _seconds_ahead(database: Database, column: str, table: str) -> float:
    (row,) = database.fetch(f"SELECT extract(epoch FROM {column} - now())::float8 AS ahead FROM {table}")
    return float(row["ahead"])


def test_a_dead_workers_lease_from_a_later_clock_runs_out_in_its_usual_time(
    database: Database, clock: ClockSteps, fresh: Installation
) -> None:
    fresh.start("api")
    fresh.submit("Prove it")
    database.execute(
        f"UPDATE completion SET state = 'running', worker = 'gone', lease_until = now() + interval '6 s' + {BACK}"
    )
    assert clock.settle() == 1
    assert 5 < _seconds_ahead(database, "lease_until", "completion") <= 6
    assert clock.settle() == 0
    database.execute("UPDATE completion SET lease_until = lease_until - interval '6.1 s'")
    assert len(RepairStore(database, max_attempts=3).reap()) == 1


def test_a_job_queued_by_a_later_clock_is_announced_again_if_its_message_is_lost(
    database: Database, clock: ClockSteps, fresh: Installation
) -> None:
    fresh.start("api")
    fresh.submit("Prove it")
    database.execute(f"UPDATE completion SET queued_at = now() + {BACK}")
    assert clock.settle() == 1
    assert _seconds_ahead(database, "queued_at", "completion") <= 0


def test_the_right_time_is_left_alone(database: Database, clock: ClockSteps, fresh: Installation) -> None:
    fresh.start("api")
    fresh.submit("Prove it")
    database.execute(
        "UPDATE completion SET state = 'running', worker = 'here', lease_until = now() + interval '6 s'"
    )
    database.execute(_DELIVERY, {"next": 4.0, "leased": None, "tries": 1})
    database.execute(_DELIVERY, {"next": 59.0, "leased": 59.0, "tries": 1})
    database.execute(_RUN, {"lease": 5.0})
    database.execute("INSERT INTO card_lease (card, run_id, lease_until) VALUES ('c', 1, now() + interval '29 s')")
    assert clock.settle() == 0


_RUN = """
INSERT INTO training_run (trigger, options, state, worker, lease_until)
VALUES ('threshold', '{}', 'running', 'gone', now() + make_interval(secs => %(lease)s::float8))
"""
_DELIVERY = """
INSERT INTO webhook_delivery (event, subject, url, tries, next_try_at, leased_until)
VALUES ('job.succeeded', 'x', 'https://example.com/', %(tries)s, now() + make_interval(secs => %(next)s::float8),
        now() + make_interval(secs => %(leased)s::float8))
"""


@pytest.mark.parametrize("leased_s", [None, 3660.0])
def test_a_webhook_that_a_later_clock_put_off_is_told_now(
    database: Database, clock: ClockSteps, leased_s: float | None
) -> None:
    database.execute(_DELIVERY, {"next": 3660.0, "leased": leased_s, "tries": 1})
    assert clock.settle() == 1
    assert _seconds_ahead(database, "next_try_at", "webhook_delivery") <= 0


def test_batches_trainings_cards_and_limits_do_not_wait_either(database: Database, clock: ClockSteps) -> None:
    database.execute(_RUN, {"lease": 3600.0})
    database.execute(f"INSERT INTO card_lease (card, run_id, lease_until) VALUES ('c', 1, now() + {BACK})")
    assert clock.settle() == 2
    assert 29 < _seconds_ahead(database, "lease_until", "card_lease") <= 30
    assert 5 < _seconds_ahead(database, "lease_until", "training_run") <= 6
    database.execute(f"UPDATE training_run SET state = 'queued', lease_until = NULL, created_at = now() + {BACK}")
    assert clock.settle() == 1
