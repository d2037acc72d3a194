"""What is away is asked by one caller at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from core.circuit import Circuit


class Away(Exception):
    pass


def fail(circuit: Circuit) -> bool:
    """Whether it was tried."""
    try:
        with circuit.attempt() as may_try:
            if may_try:
                raise Away
    except Away:
        return True
    return False


def succeed(circuit: Circuit) -> bool:
    with circuit.attempt() as may_try:
        return may_try


def test_what_answers_is_asked_by_all_at_once() -> None:
    circuit, together = Circuit(pause_s=60), Barrier(4)

    def meet(_: int) -> bool:
        with circuit.attempt() as may_try:
            together.wait(10)
            return may_try

    with ThreadPoolExecutor(4) as callers:
        assert all(callers.map(meet, range(4)))


def test_after_a_failure_nobody_tries_for_a_while() -> None:
    circuit = Circuit(pause_s=60)
    assert fail(circuit)
    assert not succeed(circuit)


def test_then_one_tries_and_the_others_do_not_wait_for_it() -> None:
    circuit, entered, released = Circuit(pause_s=0), Event(), Event()
    assert fail(circuit)

    def try_slowly() -> bool:
        with circuit.attempt() as may_try:
            entered.set()
            released.wait(10)
            return may_try

    with ThreadPoolExecutor(1) as caller:
        trial = caller.submit(try_slowly)
        assert entered.wait(10)
        assert not succeed(circuit)
        released.set()
        assert trial.result()
    assert succeed(circuit)


def test_a_trial_that_fails_begins_the_pause_anew() -> None:
    circuit = Circuit(pause_s=0)
    assert fail(circuit)
    assert fail(circuit)
    assert succeed(circuit)


def test_what_is_raised_passes_through() -> None:
    circuit = Circuit(pause_s=0)
    with pytest.raises(Away), circuit.attempt():
        raise Away
