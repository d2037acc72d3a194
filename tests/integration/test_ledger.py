"""Laws of the ledger, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.database import Database
from core.errors import JobNotFound
from core.jobs import Job, JobStore, NewJob
from core.leases import Claim, LeaseStore, Refusal
from core.messages import (
    Answer,
    Completion,
    Failure,
    FailureCode,
    FinishReason,
    GenerationRequest,
    JobState,
    ModelName,
    Priority,
    Route,
    Strategy,
    TaskType,
    Verdict,
)
from core.repairs import Branch, RepairStore

MATHSTRAL, CODESTRAL = ModelName.MATHSTRAL, ModelName.CODESTRAL
NORMAL, LOW = Priority.NORMAL, Priority.LOW
MODELS = {TaskType.MATH: (MATHSTRAL,), TaskType.HYBRID: (MATHSTRAL, CODESTRAL)}


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database)


@pytest.fixture
def leases(database: Database) -> LeaseStore:
    return LeaseStore(database, worker="one@host", lease_s=60)


@pytest.fixture
def lapsed(database: Database) -> LeaseStore:
    """A worker whose leases are over at once."""
    return LeaseStore(database, worker="slow@host", lease_s=0)


@pytest.fixture
def repairs(database: Database) -> RepairStore:
    return RepairStore(database, max_attempts=2)


def _new(task_type: TaskType = TaskType.MATH, *, sequential: bool = False, deadline_s: float = 60.0) -> NewJob:
    strategy = Strategy.SEQUENTIAL if sequential else Strategy.PARALLEL
    return NewJob(
        request=GenerationRequest(prompt="prove 数学 'x' %s", strategy=strategy),
        route=Route(task_type=task_type, confidence=1.0, reasons=("a reason",)),
        models=MODELS[task_type],
        waiting=frozenset({CODESTRAL} if sequential else ()),
        deadline_s=deadline_s,
        window=100,
    )


def _completion(model: ModelName = MATHSTRAL, text: str = "done") -> Completion:
    return Completion(
        model=model,
        version="v1",
        text=text,
        finish_reason=FinishReason.STOP,
        prompt_tokens=1,
        completion_tokens=1,
    )


def _verdict(text: str = "done") -> Verdict:
    return Verdict(state=JobState.SUCCEEDED, answer=Answer(response=text, model_used="v1"))


def _claimed(store: LeaseStore, job: Job, model: ModelName = MATHSTRAL) -> Claim:
    claim = store.claim(job.id, model)
    assert isinstance(claim, Claim)
    return claim


def test_a_job_reads_back_as_it_was_accepted(jobs: JobStore) -> None:
    job = jobs.insert(_new(TaskType.HYBRID))
    assert jobs.get(job.id) == job
    assert (job.deadline_at - job.created_at).total_seconds() == pytest.approx(60)


@pytest.mark.parametrize("job_id", ["", "1", "01890000-0000-7000-8000-000000000000", "'; DROP TABLE job; --"])
def test_what_is_no_job_is_not_found(jobs: JobStore, job_id: str) -> None:
    with pytest.raises(JobNotFound):
        jobs.get(job_id)
    with pytest.raises(JobNotFound):
        jobs.request_cancel(job_id)


def test_only_one_of_many_claims_wins(jobs: JobStore, leases: LeaseStore) -> None:
    job = jobs.insert(_new())
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: leases.claim(job.id, MATHSTRAL), range(8)))
    assert [type(claim) for claim in claims].count(Claim) == 1
    assert claims.count(Refusal.BUSY) == 7
    assert jobs.get(job.id).state is JobState.RUNNING


def test_finishing_closes_a_single_job_once(jobs: JobStore, leases: LeaseStore) -> None:
    job = jobs.insert(_new())
    claim = _claimed(leases, job)
    assert leases.finish_job(claim, _completion(), _verdict())
    assert not leases.finish_job(claim, _completion(text="again"), _verdict("again"))
    closed = jobs.get(job.id)
    assert closed.state is JobState.SUCCEEDED
    assert closed.answer is not None
    assert closed.answer.response == "done"
    assert closed.finished_at is not None
    assert leases.claim(job.id, MATHSTRAL) is Refusal.DONE


def test_the_fence_keeps_a_worker_that_was_given_up_from_writing(
    jobs: JobStore, leases: LeaseStore, lapsed: LeaseStore, repairs: RepairStore
) -> None:
    job = jobs.insert(_new())
    old = _claimed(lapsed, job)
    assert repairs.reap() == [Branch(job.id, MATHSTRAL, NORMAL)]
    new = _claimed(leases, job)
    assert new.attempt == old.attempt + 1
    assert lapsed.renew([old]) == []
    assert not lapsed.release(old)
    assert not lapsed.finish_job(old, _completion(text="old"), _verdict("old"))
    assert leases.finish_job(new, _completion(text="new"), _verdict("new"))


def test_a_renewed_lease_is_not_reaped_and_shows_the_wish_to_cancel(
    database: Database, jobs: JobStore, lapsed: LeaseStore, repairs: RepairStore
) -> None:
    leases = LeaseStore(database, worker="slow@host", lease_s=60)
    job = jobs.insert(_new())
    claim = _claimed(lapsed, job)
    (renewal,) = leases.renew([claim])
    assert not renewal.cancel_requested
    assert repairs.reap() == []
    jobs.request_cancel(job.id)
    (renewal,) = leases.renew([claim])
    assert renewal.cancel_requested


def test_lost_workers_are_counted_and_the_cap_ends_the_job_dead(
    jobs: JobStore, lapsed: LeaseStore, repairs: RepairStore
) -> None:
    job = jobs.insert(_new())
    _claimed(lapsed, job)
    assert repairs.reap() == [Branch(job.id, MATHSTRAL, NORMAL)]
    _claimed(lapsed, job)
    assert repairs.reap() == []
    assert repairs.unmerged() == [job.id]
    (outcome,) = jobs.outcomes(job.id) or []
    assert isinstance(outcome, Failure)
    assert outcome.code is FailureCode.DEAD


def test_handing_back_does_not_count_as_lost(jobs: JobStore, leases: LeaseStore, repairs: RepairStore) -> None:
    job = jobs.insert(_new())
    for expected in range(1, 6):
        claim = _claimed(leases, job)
        assert claim.attempt == expected
        assert leases.release(claim)
    assert repairs.reap() == []


def test_a_hybrid_is_complete_when_both_models_have_ended(jobs: JobStore, leases: LeaseStore) -> None:
    job = jobs.insert(_new(TaskType.HYBRID))
    first, second = _claimed(leases, job, MATHSTRAL), _claimed(leases, job, CODESTRAL)
    one = leases.finish(first, _completion())
    assert one is not None
    assert not one.is_complete
    assert jobs.outcomes(job.id) is None
    two = leases.finish(second, _completion(CODESTRAL))
    assert two is not None
    assert two.is_complete
    assert leases.finish(second, _completion(CODESTRAL)) is None
    assert len(jobs.outcomes(job.id) or []) == 2
    assert jobs.close(job.id, _verdict())
    assert not jobs.close(job.id, _verdict("again"))


def test_a_sequential_hybrid_hands_over_the_text_of_the_mathematics(jobs: JobStore, leases: LeaseStore) -> None:
    job = jobs.insert(_new(TaskType.HYBRID, sequential=True))
    assert leases.claim(job.id, CODESTRAL) is Refusal.BUSY
    finish = leases.finish(_claimed(leases, job, MATHSTRAL), _completion(text="the proof"))
    assert finish is not None
    assert finish.released == (CODESTRAL,)
    assert _claimed(leases, job, CODESTRAL).notes == "the proof"


def test_a_model_that_waits_for_a_dead_one_is_freed_without_notes(
    jobs: JobStore, leases: LeaseStore, lapsed: LeaseStore, repairs: RepairStore
) -> None:
    job = jobs.insert(_new(TaskType.HYBRID, sequential=True))
    for _ in range(2):
        assert repairs.free_waiting() == []
        _claimed(lapsed, job, MATHSTRAL)
        repairs.reap()
    assert repairs.free_waiting() == [Branch(job.id, CODESTRAL, NORMAL)]
    assert _claimed(leases, job, CODESTRAL).notes is None


def test_a_cancelled_job_cannot_be_claimed_and_merges_as_cancelled(jobs: JobStore, leases: LeaseStore) -> None:
    job = jobs.insert(_new(TaskType.HYBRID))
    jobs.request_cancel(job.id)
    assert leases.claim(job.id, MATHSTRAL) is Refusal.DONE
    codes = {outcome.code for outcome in jobs.outcomes(job.id) or [] if isinstance(outcome, Failure)}
    assert codes == {FailureCode.CANCELLED}


def test_deadlines_end_what_has_not_begun(jobs: JobStore, leases: LeaseStore, repairs: RepairStore) -> None:
    late = jobs.insert(_new(TaskType.HYBRID, deadline_s=0.000001))
    in_time = jobs.insert(_new())
    assert repairs.end_overdue(slack_s=30) == 2
    assert repairs.unmerged() == [late.id]
    assert isinstance(leases.claim(in_time.id, MATHSTRAL), Claim)


def test_only_as_many_waiting_jobs_are_announced_again_as_messages_are_missing(
    jobs: JobStore, repairs: RepairStore
) -> None:
    ids = [jobs.insert(_new()).id for _ in range(5)]

    def unannounced(messages: int) -> list[str]:
        found = repairs.unannounced(MATHSTRAL, NORMAL, messages=messages, grace_s=0)
        return [branch.job_id for branch in found]

    assert unannounced(5) == unannounced(9) == []
    assert sorted(unannounced(3)) == ids[:2]
    assert sorted(unannounced(3)) == ids[2:4]  # the first two were announced just now
    assert sorted(unannounced(0)) == ids
    assert repairs.unannounced(MATHSTRAL, NORMAL, messages=0, grace_s=60) == []
    assert repairs.unannounced(CODESTRAL, NORMAL, messages=0, grace_s=0) == []
    assert repairs.unannounced(MATHSTRAL, LOW, messages=0, grace_s=0) == []


def test_a_job_that_was_overtaken_is_announced_again(
    jobs: JobStore, leases: LeaseStore, repairs: RepairStore
) -> None:
    forgotten, later = jobs.insert(_new()), jobs.insert(_new())
    _claimed(leases, later)
    (branch,) = repairs.unannounced(MATHSTRAL, NORMAL, messages=1000, grace_s=0)
    assert branch.job_id == forgotten.id
    assert repairs.unannounced(MATHSTRAL, NORMAL, messages=1000, grace_s=0) == []


def test_a_claim_of_another_process_with_the_same_number_is_fenced_off(
    database: Database, jobs: JobStore, leases: LeaseStore
) -> None:
    claim = _claimed(leases, jobs.insert(_new()))
    other = LeaseStore(database, worker="two@host", lease_s=60)
    assert other.renew([claim]) == []
    assert not other.release(claim)
    assert not other.finish_job(claim, _completion(), _verdict())


def test_a_worker_that_goes_on_after_the_end_is_cut_off(
    jobs: JobStore, leases: LeaseStore, repairs: RepairStore
) -> None:
    claim = _claimed(leases, jobs.insert(_new()))
    jobs.request_cancel(claim.job_id)
    assert repairs.end_overdue(slack_s=30) == 0
    assert repairs.end_overdue(slack_s=0) == 1
    assert repairs.unmerged() == [claim.job_id]
    assert not leases.finish_job(claim, _completion(), _verdict())
