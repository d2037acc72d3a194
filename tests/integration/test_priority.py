"""Who is served first: in the ledger's repairs, on a real queue, by real workers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import pytest
from celery import Celery
from redis import Redis

from core.clock_steps import ClockSteps
from core.database import Database
from core.events import EventLog
from core.idempotency import IdempotencyStore
from core.jobs import Job, JobStore, NewJob
from core.lanes import LaneStore
from core.leases import Claim, LeaseStore
from core.messages import GenerationRequest, ModelName, Priority, Route, Strategy, TaskType
from core.repairs import Branch, RepairStore
from core.roster import Roster
from core.training_runs import RunStore
from tasks.closing import Closer
from tasks.doorbell import Doorbell
from tasks.lanes import Lanes
from tasks.queues import STEPS, QueueName
from tasks.reconciliation import Reconciler
from tests.harness import Installation, eventually

MATHSTRAL, CODESTRAL = ModelName.MATHSTRAL, ModelName.CODESTRAL
HIGH, NORMAL, LOW = Priority
HYBRID_PROMPT = "Implement a numerical gradient descent algorithm with mathematical proof"
SLOW = {"MATHCODE_SLOTS": "2", "MATHCODE_SCRIPTED_DELAY_S": "0.05"}
ENDLESS = {"MATHCODE_SLOTS": "2", "MATHCODE_SCRIPTED_DELAY_S": "1", "MATHCODE_DRAIN_S": "0"}


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database)


@pytest.fixture
def repairs(database: Database) -> RepairStore:
    return RepairStore(database, max_attempts=2)


@pytest.fixture
def redis(fresh: Installation) -> Redis:
    return Redis.from_url(fresh.redis_url, decode_responses=True)


def _accepted(jobs: JobStore, priority: Priority, *models: ModelName) -> Job:
    """A job of one model, or of several that wait for the first one."""
    names = models or (MATHSTRAL,)
    return jobs.insert(
        NewJob(
            request=GenerationRequest(prompt="x", priority=priority, strategy=Strategy.SEQUENTIAL),
            route=Route(task_type=TaskType.HYBRID if models else TaskType.MATH, confidence=1.0, reasons=()),
            models=names,
            waiting=frozenset(names[1:]),
            deadline_s=60,
            window=100,
        )
    )


def _claimed(database: Database, job: Job, model: ModelName = MATHSTRAL, *, lease_s: float = 60) -> Claim:
    claim = LeaseStore(database, worker="one@host", lease_s=lease_s).claim(job.id, model)
    assert isinstance(claim, Claim)
    return claim


def test_what_is_more_urgent_overtakes_by_right(database: Database, jobs: JobStore, repairs: RepairStore) -> None:
    _accepted(jobs, LOW)
    for priority in (HIGH, NORMAL):
        _claimed(database, _accepted(jobs, priority))
    for priority in Priority:
        assert repairs.unannounced(MATHSTRAL, priority, messages=1, grace_s=0) == []


def test_a_lost_urgent_message_is_missed_among_any_number_of_others(jobs: JobStore, repairs: RepairStore) -> None:
    for _ in range(3):
        _accepted(jobs, LOW)
    urgent = _accepted(jobs, HIGH)
    assert repairs.unannounced(MATHSTRAL, LOW, messages=3, grace_s=0) == []
    assert repairs.unannounced(MATHSTRAL, HIGH, messages=0, grace_s=0) == [Branch(urgent.id, MATHSTRAL, HIGH)]


def test_what_is_set_going_again_is_as_urgent_as_before(
    database: Database, jobs: JobStore, repairs: RepairStore
) -> None:
    job = _accepted(jobs, LOW, MATHSTRAL, CODESTRAL)
    assert _claimed(database, job, lease_s=0).request.priority is LOW
    assert repairs.reap() == [Branch(job.id, MATHSTRAL, LOW)]
    _claimed(database, job, lease_s=0)
    repairs.reap()  # dead
    assert repairs.free_waiting() == [Branch(job.id, CODESTRAL, LOW)]
    assert _claimed(database, job, CODESTRAL).request.priority is LOW


def _lengths(redis: Redis, queue: str) -> Mapping[Priority, int]:
    """As kombu names its lists: the queue itself for 0, else queue, separator and step."""
    names = {priority: f"{queue}\x06\x16{step}" if step else queue for priority, step in STEPS.items()}
    return {priority: int(redis.llen(name)) for priority, name in names.items()}  # type: ignore[arg-type]


WIDE = """
INSERT INTO worker (name, queue, slots, seen_at)
SELECT 'wide-' || queue, queue, 100, now() + interval '1 hour' FROM unnest(%(queues)s::text[]) AS queue
"""
"""Who counts as so many slots that no lane holds a job back."""


def test_every_door_to_the_queue_keeps_the_priority(fresh: Installation, database: Database, redis: Redis) -> None:
    """Another number of jobs of each priority, so that none is taken for another."""
    database.execute(WIDE, {"queues": [*ModelName]})
    fresh.start("api")
    numbers, hybrids = {HIGH: 1, NORMAL: 2, LOW: 3}, dict[str, Priority]()
    for priority in (priority for priority, number in numbers.items() for _ in range(number)):
        fresh.submit("Prove it", priority=priority)
        for strategy in Strategy:
            job_id = fresh.submit(HYBRID_PROMPT, priority=priority, strategy=strategy, max_tokens=2)
            hybrids[job_id] = priority
    twice = {priority: 2 * number for priority, number in numbers.items()}
    assert _lengths(redis, "mathstral") == {priority: 3 * number for priority, number in numbers.items()}
    assert _lengths(redis, "codestral") == numbers
    fresh.start("mathstral")
    eventually(lambda: _lengths(redis, "codestral") == twice)  # the second model's turn came
    fresh.start("codestral")
    eventually(lambda: _lengths(redis, "light") == twice)  # a chord's merge, and one without
    fresh.start("light")
    for job_id, priority in hybrids.items():
        assert fresh.finished(job_id)["request"]["priority"] == priority


def test_a_doorbell_counts_what_the_queue_holds_of_each_priority(fresh: Installation) -> None:
    celery = Celery(broker=fresh.redis_url)
    doorbell = Doorbell(celery)
    announced = {HIGH: 1, NORMAL: 2, LOW: 3}
    for priority, number in announced.items():
        for _ in range(number):
            assert doorbell.announce("an-id", (MATHSTRAL,), priority)
    assert doorbell.messages(QueueName.MATHSTRAL) == announced
    assert doorbell.messages(QueueName.CODESTRAL) == dict.fromkeys(Priority, 0)
    celery.close()


def test_a_worker_takes_no_more_messages_than_it_has_slots(fresh: Installation, redis: Redis) -> None:
    fresh.start("api")
    fresh.start("mathstral", **SLOW)
    job_ids = [fresh.submit("Prove it", max_tokens=4, priority=list(Priority)[n % 2]) for n in range(8)]

    def everything_ended_with_at_most_two_taken() -> bool:
        left = sum(_lengths(redis, "mathstral").values())
        ended = sum(fresh.status(job_id) == "succeeded" for job_id in job_ids)
        assert len(job_ids) - left - ended <= 2
        return ended == len(job_ids)

    eventually(everything_ended_with_at_most_two_taken)


def test_a_full_worker_leaves_all_others_in_the_queue(fresh: Installation, redis: Redis) -> None:
    fresh.start("api")
    fresh.start("mathstral", **ENDLESS)
    job_ids = [fresh.submit("Prove it") for _ in range(6)]
    eventually(lambda: [fresh.status(job_id) for job_id in job_ids].count("running") == 2)
    assert _lengths(redis, "mathstral")[NORMAL] == 4
    with closing(Celery(broker=fresh.redis_url)) as celery:
        (reserved,) = (celery.control.inspect(timeout=2).reserved() or {}).values()
        (active,) = (celery.control.inspect(timeout=2).active() or {}).values()
    assert (len(active), reserved) == (2, [])
    assert _lengths(redis, "mathstral")[NORMAL] == 4


def test_a_free_slot_goes_to_the_most_urgent(fresh: Installation) -> None:
    fresh.start("api")
    low, normal, high = (fresh.submit("Prove it", max_tokens=3, priority=p) for p in (LOW, NORMAL, HIGH))
    fresh.start("mathstral", MATHCODE_SLOTS="1")
    views = [fresh.finished(job_id) for job_id in (high, normal, low)]
    begun = [view["started_at"] for view in views]
    assert begun == sorted(begun)


def test_a_job_that_others_overtake_is_not_announced_again(
    fresh: Installation, database: Database, redis: Redis, repairs: RepairStore
) -> None:
    fresh.start("api")
    low = [fresh.submit("Prove it", priority="low") for _ in range(3)]
    busy = [fresh.submit("Prove it", priority="high") for _ in range(2)]
    fresh.start("mathstral", **ENDLESS)
    for job_id in busy:
        fresh.await_running(job_id)
    database.execute(
        "UPDATE completion SET queued_at = queued_at - interval '1h', started_at = started_at - interval '1h'"
    )
    reconciler = build_reconciler(database, fresh, repairs)
    assert [reconciler.reconcile().announced for _ in range(3)] == [0, 0, 0]
    assert _lengths(redis, "mathstral") == {HIGH: 0, NORMAL: 0, LOW: 3}
    redis.flushdb()
    assert [reconciler.reconcile().announced for _ in range(2)] == [3, 0]
    assert _lengths(redis, "mathstral") == {HIGH: 0, NORMAL: 0, LOW: 3}
    assert [fresh.status(job_id) for job_id in low] == ["queued"] * 3


def build_reconciler(database: Database, installed: Installation, repairs: RepairStore) -> Reconciler:
    doorbell, roster = Doorbell(Celery(broker=installed.redis_url)), Roster(database, beat_s=1)
    lanes = Lanes(store=LaneStore(database), roster=roster, doorbell=doorbell, low_share=1.0)
    return Reconciler(
        repairs=repairs,
        closer=Closer(jobs=JobStore(database), events=EventLog.connect(installed.redis_url), lanes=lanes),
        doorbell=doorbell,
        runs=RunStore(database),
        lanes=lanes,
        chores=(ClockSteps(database, lease_s=6, card_lease_s=30).settle, IdempotencyStore(database).prune),
        max_attempts=3,
        roster=roster,
        is_steady=lambda: False,
    )


def test_handing_back_keeps_the_priority(fresh: Installation, redis: Redis) -> None:
    fresh.start("api")
    fresh.start("mathstral", **ENDLESS)
    job_id = fresh.submit("Prove it", priority="low")
    fresh.await_running(job_id)
    assert fresh.terminate("mathstral", within_s=15) == 0
    assert _lengths(redis, "mathstral") == {HIGH: 0, NORMAL: 0, LOW: 1}
