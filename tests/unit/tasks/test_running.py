"""Laws of what a process holds."""

from __future__ import annotations

from dataclasses import replace

from core.lanes import Lane
from core.leases import Claim
from core.messages import GenerationRequest, ModelName, Priority, TaskType
from tasks.running import Running, StopReason

CLAIM = Claim(
    job_id="a",
    model=ModelName.MATHSTRAL,
    attempt=1,
    request=GenerationRequest(prompt="x"),
    task_type=TaskType.MATH,
    deadline=0.0,
    lane=Lane(key_id=None, task_type=TaskType.MATH, priority=Priority.NORMAL),
)


def test_claims_are_listed_exactly_while_they_are_held() -> None:
    running = Running()
    with running.hold(CLAIM):
        assert running.claims() == [CLAIM]
    assert running.claims() == []


def test_the_first_reason_to_stop_counts() -> None:
    running = Running()
    with running.hold(CLAIM) as held:
        assert running.cancel("b") == 0
        assert not held.stop.is_set()
        assert running.cancel("a") == 1
        running.drain()
        assert (held.reason, held.stop.is_set()) == (StopReason.CANCELLED, True)


def test_draining_stops_also_what_begins_later() -> None:
    running = Running()
    running.drain()
    with running.hold(CLAIM) as held:
        assert held.reason is StopReason.DRAINED


def test_a_second_claim_of_the_same_completion_stops_the_first() -> None:
    running, again = Running(), replace(CLAIM, attempt=2)
    with running.hold(CLAIM) as first:
        with running.hold(again) as second:
            assert first.reason is StopReason.LOST
            running.lose(CLAIM)
            assert second.reason is None
            assert running.claims() == [again]
        assert running.claims() == []
