"""Laws of the roster, on a real PostgreSQL."""

from __future__ import annotations

from core.database import Database
from core.metrics import EngineMetrics
from core.roster import Roster, new_worker_name

METRICS = EngineMetrics(
    version="v1",
    is_asleep=False,
    running=1,
    waiting=0,
    free_slots=0,
    tokens=0,
    tokens_per_s=1.5,
    preemptions=0,
    first_token_p50_s=0.25,
    first_token_p95_s=0.25,
    token_p50_s=None,
    token_p95_s=None,
    memory_bytes=2**40,
    memory_used_bytes=0,
)


def test_the_roster_lists_workers_that_have_been_heard(database: Database) -> None:
    roster, impatient = Roster(database, beat_s=60), Roster(database, beat_s=0)
    for name in ("b", "a", "b"):
        roster.sign(name=name, queue="light", version=None, slots=1, metrics=None)
    assert [worker.name for worker in roster.alive()] == ["a", "b"]
    assert impatient.alive() == []
    roster.leave("a")
    assert [worker.name for worker in roster.alive()] == ["b"]


def test_the_roster_keeps_the_latest_metrics_of_an_engine(database: Database) -> None:
    roster = Roster(database, beat_s=60)
    for tokens in (1, 2):
        shown = METRICS.model_copy(update={"tokens": tokens})
        roster.sign(name="a", queue="mathstral", version="v1", slots=1, metrics=shown)
    (worker,) = roster.alive()
    assert EngineMetrics.model_validate(worker.metrics) == shown


def test_two_processes_of_one_host_name_and_pid_have_different_names() -> None:
    assert new_worker_name("codestral") != new_worker_name("codestral")
