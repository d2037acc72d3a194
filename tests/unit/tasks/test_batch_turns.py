"""Who of several threads looks at batches, and at whose."""

from __future__ import annotations

import pytest

from tasks.batch_turns import Turns


@pytest.mark.parametrize(("threads", "most", "of_key"), [(1, 1, 1), (2, 1, 1), (4, 2, 1), (8, 4, 2), (64, 32, 16)])
def test_half_of_the_threads_look_and_half_of_those_at_one_key(threads: int, most: int, of_key: int) -> None:
    turns = Turns(threads)
    assert [turns.enter() for _ in range(most + 1)] == [True] * most + [False]
    assert [turns.take("alice") for _ in range(of_key + 1)] == [True] * of_key + [False]
    assert turns.take("bob")
    assert turns.take(None)
    turns.put_back("alice")
    assert turns.take("alice")


def test_who_was_refused_is_looked_for_once_more() -> None:
    turns = Turns(2)
    assert turns.enter()
    assert not turns.enter()
    assert not turns.enter()
    assert not turns.leave()
    assert turns.leave()
    assert turns.enter()


def test_who_fails_leaves_too() -> None:
    turns = Turns(2)
    assert turns.enter()
    turns.give_up()
    assert turns.enter()
