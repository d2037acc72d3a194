"""Laws of the pause between a death and the next start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stack.backoff import FORGIVEN_AFTER_S, LONGEST_S, Backoff

LIVES = st.lists(st.floats(min_value=0, max_value=10 * FORGIVEN_AFTER_S), max_size=50)


def after(lives: list[float]) -> Backoff:
    backoff = Backoff()
    for lived_s in lives:
        backoff = backoff.after_death(lived_s=lived_s)
    return backoff


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [after([0.0] * deaths).delay_s for deaths in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_life_wipes_the_slate() -> None:
    assert after([0.0, 0.0, 0.0, FORGIVEN_AFTER_S]).delay_s == 1


@given(LIVES)
def test_no_history_makes_a_pause_longer_than_the_longest(lives: list[float]) -> None:
    assert 0 <= after(lives).delay_s <= LONGEST_S
