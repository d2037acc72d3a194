"""Laws of seats."""

from __future__ import annotations

import pytest

from api.seats import Seats
from core.errors import TooManyStreams


def test_a_seat_is_free_again_when_it_is_left_and_only_once() -> None:
    seats = Seats(2)
    first = seats.take()
    seats.take()
    with pytest.raises(TooManyStreams):
        seats.take()
    first.leave()
    first.leave()
    seats.take()
    with pytest.raises(TooManyStreams):
        seats.take()
