"""How long a process that keeps dying waits before its next start (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

FIRST_S = 1.0
LONGEST_S = 30.0
FORGIVEN_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """1 s, doubled per death up to 30 s; a life of a minute wipes the slate."""

    deaths: int = 0

    def after_death(self, *, lived_s: float) -> Self:
        return replace(self, deaths=1 if lived_s >= FORGIVEN_AFTER_S else self.deaths + 1)

    @property
    def delay_s(self) -> float:
        return 0.0 if self.deaths == 0 else min(LONGEST_S, FIRST_S * 2.0 ** min(self.deaths - 1, 10))
