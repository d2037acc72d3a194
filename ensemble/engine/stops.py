"""Stop strings: where the text ends early, and what must be held back until that is known."""

from __future__ import annotations


class StopScanner:
    """Watches one text for its stop strings; the result does not depend on how the text was cut into pieces.

    The stop string that is complete first ends the text. Neither it nor a part of it is ever let through.
    """

    __slots__ = ("_held", "_stops")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """The text that is now certain, and whether a stop string ended it."""
        if not self._stops:
            return text, False
        buffer = self._held + text
        matches = [(buffer.find(stop) + len(stop), buffer.find(stop)) for stop in self._stops if stop in buffer]
        if matches:
            self._held = ""
            return buffer[: min(matches)[1]], True
        certain = len(buffer) - self._uncertain(buffer)
        self._held = buffer[certain:]
        return buffer[:certain], False

    def finish(self) -> str:
        """What was held back, now that no more text follows."""
        held, self._held = self._held, ""
        return held

    def _uncertain(self, buffer: str) -> int:
        """Length of the longest end of `buffer` with which a stop string could begin."""
        longest = min(len(buffer), max(len(stop) for stop in self._stops) - 1)
        return next(
            (
                size
                for size in range(longest, 0, -1)
                if any(stop.startswith(buffer[-size:]) for stop in self._stops)
            ),
            0,
        )
