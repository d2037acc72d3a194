"""Laws of slots."""

from __future__ import annotations

from random import Random

from core.messages import FailureCode, ModelName, Priority, Sampling
from core.work import Work
from ensemble.engine.detokenizer import Detokenizer
from ensemble.engine.scheduler import Scheduler
from ensemble.engine.sequence import Sequence
from ensemble.engine.versions import Version


def sequence(priority: Priority = Priority.NORMAL) -> Sequence:
    return Sequence(
        work=Work(messages=(), sampling=Sampling(), priority=priority),
        prompt=(),
        max_tokens=4,
        detokenizer=Detokenizer(()),
        model=ModelName.MATHSTRAL,
        version=Version("test"),
    )


def _admitted(scheduler: Scheduler) -> list[Sequence]:
    """Those that get a slot where memory is no concern."""
    before = len(scheduler.running)
    scheduler.admit(lambda _: True)
    return scheduler.running[before:]


def test_slots_go_to_the_first_that_came() -> None:
    scheduler = Scheduler(2)
    first, second, third = (sequence() for _ in range(3))
    for each in (first, second, third):
        scheduler.enqueue(each)
    assert _admitted(scheduler) == [first, second]
    assert _admitted(scheduler) == []
    assert list(scheduler.waiting) == [third]


def test_nobody_overtakes_a_sequence_that_has_no_room_yet() -> None:
    scheduler = Scheduler(2)
    large, small = sequence(), sequence()
    scheduler.enqueue(large)
    scheduler.enqueue(small)
    scheduler.admit(lambda each: each is small)
    assert scheduler.running == []
    assert list(scheduler.waiting) == [large, small]


def test_the_more_urgent_go_first_and_equals_in_the_order_they_came() -> None:
    scheduler = Scheduler(5)
    arrived = [sequence(priority) for priority in Random(0).choices(list(Priority), k=40)]  # noqa: S311
    for each in arrived:
        scheduler.enqueue(each)
    by_turn = sorted(arrived, key=lambda each: each.work.priority.rank)  # stable: arrival decides among equals
    assert _admitted(scheduler) == by_turn[:5]
    assert scheduler.waiting == by_turn[5:]


def test_urgency_takes_nobodys_slot() -> None:
    scheduler = Scheduler(1)
    low, high = sequence(Priority.LOW), sequence(Priority.HIGH)
    scheduler.enqueue(low)
    _admitted(scheduler)
    scheduler.enqueue(high)
    assert _admitted(scheduler) == []
    assert (scheduler.running, scheduler.waiting) == ([low], [high])


def test_room_for_the_less_urgent_alone_stays_empty() -> None:
    scheduler = Scheduler(2)
    small, large = sequence(Priority.LOW), sequence(Priority.HIGH)
    scheduler.enqueue(small)
    scheduler.enqueue(large)
    scheduler.admit(lambda each: each is small)
    assert scheduler.running == []


def test_who_waits_again_keeps_the_place_of_its_arrival() -> None:
    scheduler = Scheduler(1)
    first, second = sequence(), sequence()
    scheduler.enqueue(first)
    _admitted(scheduler)
    scheduler.enqueue(second)
    scheduler.running.remove(first)
    scheduler.enqueue(first)
    assert scheduler.waiting == [first, second]


def test_a_slot_is_free_again_once_its_sequence_finished() -> None:
    scheduler = Scheduler(1)
    first, second = sequence(), sequence()
    scheduler.enqueue(first)
    scheduler.enqueue(second)
    _admitted(scheduler)
    first.fail(FailureCode.CANCELLED, "enough")
    assert scheduler.retire() == [first]
    assert _admitted(scheduler) == [second]


def test_a_sequence_that_finished_while_waiting_never_gets_a_slot() -> None:
    scheduler = Scheduler(1)
    first, second = sequence(), sequence()
    scheduler.enqueue(first)
    scheduler.enqueue(second)
    first.fail(FailureCode.EXPIRED, "late")
    assert scheduler.retire() == [first]
    assert _admitted(scheduler) == [second]


def test_a_sequence_finishes_once() -> None:
    each = sequence()
    each.fail(FailureCode.CANCELLED, "first")
    each.fail(FailureCode.EXPIRED, "second")
    assert each.outbox.qsize() == 1


def test_preempted_sequences_wait_in_front_in_their_order() -> None:
    scheduler = Scheduler(4)
    sequences = [sequence() for _ in range(6)]
    for each in sequences:
        scheduler.enqueue(each)
    _admitted(scheduler)
    assert scheduler.preempt(limit=2) == sequences[:4]
    assert scheduler.everyone() == sequences


def test_after_preemption_half_may_run_and_each_that_ends_lets_one_more_in() -> None:
    scheduler = Scheduler(4)
    sequences = [sequence() for _ in range(6)]
    for each in sequences:
        scheduler.enqueue(each)
    _admitted(scheduler)
    scheduler.preempt(limit=2)
    assert _admitted(scheduler) == sequences[:2]
    sequences[0].fail(FailureCode.CANCELLED, "enough")
    scheduler.retire()
    assert _admitted(scheduler) == sequences[2:4]
    sequences[1].fail(FailureCode.CANCELLED, "enough")
    scheduler.retire()
    assert _admitted(scheduler) == sequences[4:6]


def test_one_alone_may_always_run() -> None:
    scheduler = Scheduler(4)
    scheduler.enqueue(only := sequence())
    _admitted(scheduler)
    scheduler.preempt(limit=2)
    assert _admitted(scheduler) == [only]
