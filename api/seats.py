"""How many requests may hold a thread for long, so that following streams never keeps others from being served."""

from __future__ import annotations

from threading import Lock

from core.errors import TooManyStreams


class Seats:
    """A fixed number of seats; thread-safe."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._free = number
        self._lock = Lock()

    def take(self) -> Seat:
        """A seat, to be left when done. Raises TooManyStreams."""
        with self._lock:
            if self._free == 0:
                raise TooManyStreams(
                    f"{self._number} event streams, waiting calls and large downloads are open on this server, "
                    "its limit (MATHCODE_STREAMS): poll the job, or try again later"
                )
            self._free -= 1
        return Seat(self)

    def give_back(self) -> None:
        with self._lock:
            self._free += 1


class Seat:
    """One taken seat."""

    def __init__(self, seats: Seats) -> None:
        self._seats: Seats | None = seats

    def leave(self) -> None:
        """Idempotent: a response may be closed twice."""
        seats, self._seats = self._seats, None
        if seats is not None:
            seats.give_back()
