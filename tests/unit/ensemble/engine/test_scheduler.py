"""Laws of slots."""

from __future__ import annotations

from core.messages import FailureCode, ModelName, Sampling
from core.work import Work
from ensemble.engine.detokenizer import Detokenizer
from ensemble.engine.scheduler import Scheduler
from ensemble.engine.sequence import Sequence


def sequence() -> Sequence:
    return Sequence(
        work=Work(messages=(), sampling=Sampling()),
        prompt=(),
        max_tokens=4,
        detokenizer=Detokenizer(()),
        model=ModelName.MATHSTRAL,
        version="test",
    )


def test_slots_go_to_the_first_that_came() -> None:
    scheduler = Scheduler(2)
    first, second, third = (sequence() for _ in range(3))
    for each in (first, second, third):
        scheduler.enqueue(each)
    assert scheduler.admit() == [first, second]
    assert scheduler.admit() == []
    assert list(scheduler.waiting) == [third]


def test_a_slot_is_free_again_once_its_sequence_finished() -> None:
    scheduler = Scheduler(1)
    first, second = sequence(), sequence()
    scheduler.enqueue(first)
    scheduler.enqueue(second)
    scheduler.admit()
    first.fail(FailureCode.CANCELLED, "enough")
    assert scheduler.retire() == [first]
    assert scheduler.admit() == [second]


def test_a_sequence_that_finished_while_waiting_never_gets_a_slot() -> None:
    scheduler = Scheduler(1)
    first, second = sequence(), sequence()
    scheduler.enqueue(first)
    scheduler.enqueue(second)
    first.fail(FailureCode.EXPIRED, "late")
    assert scheduler.retire() == []
    assert scheduler.admit() == [second]


def test_a_sequence_finishes_once() -> None:
    each = sequence()
    each.fail(FailureCode.CANCELLED, "first")
    each.fail(FailureCode.EXPIRED, "second")
    assert each.outbox.qsize() == 1
