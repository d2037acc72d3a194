"""Which weights a request is answered with: the model's own, or with one of a few adapters beside each other.

A request keeps the version it began with, also where it loses its slot in between. So a new version waits for a
place of its own, never for a particular request, and no text is begun by one version and ended by another. A
request may ask for a version by name: it begins with that one, while it is on the device, or with none.
"""

from __future__ import annotations

from dataclasses import dataclass

PLACES = 2
"""Adapters on the device at once: the one in service and the one before it, until its last request is done."""


@dataclass(slots=True, eq=False)
class Version:
    """`place` is None for the model without an adapter; `users` counts requests that have begun and not ended."""

    name: str
    place: int | None = None
    users: int = 0


class Versions:
    """`current` is what new requests get."""

    def __init__(self, base: str) -> None:
        self._base = Version(base)
        self._held: list[Version | None] = [None] * PLACES
        self.current = self._base

    def free_place(self) -> int | None:
        """A place that no request needs any more, if there is one."""
        return next((place for place in range(PLACES) if place not in self.needed()), None)

    def needed(self) -> set[int]:
        """The places of the version in service and of those that requests have begun with."""
        held = [version for version in self._held if version is not None]
        return {each.place for each in held if each.place is not None and (each is self.current or each.users)}

    def named(self, name: str) -> Version | None:
        """The version of this name, if a request can begin with it now."""
        return next((version for version in self._ready() if version.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked for by name, the version in service first."""
        return tuple(dict.fromkeys(version.name for version in self._ready()))

    def _ready(self) -> list[Version]:
        return [self.current, self._base, *(version for version in self._held if version is not None)]

    def vacate(self, place: int) -> None:
        """Nothing begins with what lies in `place` any more, which is about to be overwritten."""
        self._held[place] = None

    def keep_needed(self) -> None:
        """Only what is needed is still on the device."""
        needed = self.needed()
        self._held = [version if place in needed else None for place, version in enumerate(self._held)]

    def serve(self, name: str, place: int) -> None:
        """From now on, new requests get the adapter in `place`, which was free."""
        self.current = self._held[place] = Version(name, place)

    def serve_base(self) -> None:
        self.current = self._base
