"""Lanes: a caller's flood is held in the ledger, another's first job is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.database import Database
from core.jobs import Job, JobStore, NewJob, Origin
from core.lanes import Lane, LaneStore
from core.messages import GenerationRequest, JobState, ModelName, Priority, Route, TaskType, Verdict

WINDOW = 3
FLOOD = Lane(key_id="flood", task_type=TaskType.MATH, priority=Priority.NORMAL)


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database)


@pytest.fixture
def lanes(database: Database) -> LaneStore:
    return LaneStore(database)


def _accepted(jobs: JobStore, key_id: str | None, priority: Priority = Priority.NORMAL) -> Job:
    new = NewJob(
        request=GenerationRequest(prompt="x", priority=priority),
        route=Route(task_type=TaskType.MATH, confidence=1.0, reasons=()),
        models=(ModelName.MATHSTRAL,),
        waiting=frozenset(),
        deadline_s=60,
        window=WINDOW,
        origin=Origin(key_id=key_id),
    )
    return jobs.insert(new)


def _end(jobs: JobStore, job: Job) -> None:
    assert jobs.close(job.id, Verdict(state=JobState.CANCELLED))


def test_what_exceeds_the_window_is_held_for_one_key_and_priority_alone(jobs: JobStore) -> None:
    flood = [_accepted(jobs, "flood") for _ in range(5)]
    assert [job.is_held for job in flood] == [False] * WINDOW + [True] * 2
    assert not _accepted(jobs, "flood", Priority.HIGH).is_held
    assert not _accepted(jobs, "another").is_held
    assert not _accepted(jobs, None).is_held
    assert [jobs.get(job.id).is_held for job in flood] == [job.is_held for job in flood]


def test_held_jobs_are_freed_in_order_as_others_end(jobs: JobStore, lanes: LaneStore) -> None:
    flood = [_accepted(jobs, "flood") for _ in range(6)]
    assert lanes.held() == [FLOOD]
    assert lanes.advance(FLOOD, window=WINDOW) == []
    _end(jobs, flood[1])
    (freed,) = lanes.advance(FLOOD, window=WINDOW)
    assert (freed.job_id, freed.models) == (flood[3].id, (ModelName.MATHSTRAL,))
    assert _accepted(jobs, "flood").is_held, "it must not overtake those that are held"
    for job in (flood[0], flood[2]):
        _end(jobs, job)
    assert [each.job_id for each in lanes.advance(FLOOD, window=WINDOW)] == [flood[4].id, flood[5].id]


def test_a_held_job_that_was_cancelled_is_passed_over(jobs: JobStore, lanes: LaneStore) -> None:
    flood = [_accepted(jobs, "flood") for _ in range(5)]
    jobs.request_cancel(flood[3].id)
    _end(jobs, flood[3])
    _end(jobs, flood[0])
    assert [each.job_id for each in lanes.advance(FLOOD, window=WINDOW)] == [flood[4].id]
    assert lanes.held() == []


def test_many_who_advance_at_once_free_no_more_than_one_would(jobs: JobStore, lanes: LaneStore) -> None:
    flood = [_accepted(jobs, "flood") for _ in range(40)]
    for job in flood[:WINDOW]:
        _end(jobs, job)
    with ThreadPoolExecutor(8) as pool:
        freed = [
            each
            for result in pool.map(lambda _: lanes.advance(FLOOD, window=WINDOW), range(16))
            for each in result
        ]
    assert sorted(each.job_id for each in freed) == [job.id for job in flood[WINDOW : 2 * WINDOW]]


@pytest.mark.parametrize("key_id", [None, "k_1", "a/b"])
def test_a_lane_is_read_as_it_was_written(key_id: str | None) -> None:
    lane = Lane(key_id=key_id, task_type=TaskType.HYBRID, priority=Priority.LOW)
    assert Lane.parse(str(lane)) == lane
