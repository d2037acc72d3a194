"""Laws of counting."""

from __future__ import annotations

import pytest

from ensemble.engine.meter import RATE_WINDOW_S, Meter


class Clock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(clock)


def test_nothing_is_known_before_the_first_request(meter: Meter) -> None:
    assert (meter.tokens, meter.tokens_per_s(), meter.first_token_s(0.5), meter.token_s(0.95)) == (
        0,
        0,
        None,
        None,
    )


def test_a_steady_rate_is_read_as_it_is(meter: Meter, clock: Clock) -> None:
    for _ in range(4 * RATE_WINDOW_S * 5):
        meter.count_tokens(3)
        clock.now += 0.25
    assert meter.tokens_per_s() == pytest.approx(12)
    assert meter.tokens == 3 * 4 * RATE_WINDOW_S * 5


def test_a_rate_is_forgotten_after_its_window(meter: Meter, clock: Clock) -> None:
    meter.count_tokens(1000)
    clock.now += RATE_WINDOW_S + 1
    assert meter.tokens_per_s() == 0


def test_a_young_engine_is_not_measured_over_time_it_did_not_live(meter: Meter, clock: Clock) -> None:
    meter.count_tokens(100)
    clock.now += 2
    assert meter.tokens_per_s() == pytest.approx(50)


def test_quantiles_are_of_what_requests_saw(meter: Meter) -> None:
    for number in range(1, 101):
        meter.note_request(first_token_s=number / 100, token_s=None)
    assert meter.first_token_s(0.5) == pytest.approx(0.51)
    assert meter.first_token_s(0.95) == pytest.approx(0.96)
    assert meter.token_s(0.5) is None
