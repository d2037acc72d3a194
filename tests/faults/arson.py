"""Breaks the world by the schedule, mends it, and measures how long it takes to serve again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock, Thread

from tests.faults.catalogue import KINDS, Fault
from tests.faults.world import WORKERS, World, seconds_until

PROBED_S = 120.0
_STILL_HELD = """
SELECT count(*) FROM completion
WHERE job_id = %(id)s AND model = %(model)s AND attempt = %(attempt)s AND state IN ('running', 'queued')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Seconds after one fault. `is_alone` says that no other fault stood in the way of being measured."""

    fault: Fault
    began: float
    ended: float
    accepted_s: float | None  # from the mending to the next accepted job
    answered_s: float | None  # from the mending to the next answer of each model
    moved_s: tuple[float, ...] = ()  # from the death of a worker until each of its jobs was begun elsewhere
    is_alone: bool = False


@dataclass
class Arson:
    world: World
    faults: Sequence[Fault]
    progress: Callable[[], int]
    say: Callable[[str], None]
    recoveries: list[Recovery] = field(default_factory=list)
    intervals: list[tuple[float, float, str]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _open: dict[int, float] = field(default_factory=dict)

    def run(self) -> None:
        """Return when every fault is mended and measured."""
        threads = []
        for fault in self.faults:
            while self.progress() <= fault.after:
                Event().wait(0.01)
            threads.append(Thread(target=self._break, args=(fault,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _break(self, fault: Fault) -> None:
        with self.world.locks[fault.victim]:
            began = time.time()
            with self._lock:
                self._open[fault.number] = began
            moved: list[float] = []
            watcher = self._watch(fault, moved)
            try:
                with KINDS[fault.kind].breaking(self.world, fault):
                    Event().wait(fault.lasts_s)
            except Exception as error:  # noqa: BLE001 - a fault that cannot be made is a defect of the harness
                self.world.broken.append(f"fault {fault.number} ({fault.name}): {type(error).__name__}: {error}")
            ended = time.time()
        self._measure(fault, began, ended, moved, watcher)

    def _watch(self, fault: Fault, moved: list[float]) -> Thread | None:
        """Of a worker that is killed: what it held, and when each of that was begun elsewhere."""
        if fault.victim not in WORKERS or not fault.kind.startswith("kill"):
            return None
        held: list[dict[str, object]] = []
        with suppress(Exception):  # the ledger may be away
            held = list(self.world.held_by(fault.victim))
        thread = Thread(target=self._await_moves, args=(held, moved), daemon=True)
        thread.start()
        return thread

    def _await_moves(self, held: list[dict[str, object]], moved: list[float]) -> None:
        start, records = time.monotonic(), self.world.records
        for one in held:
            seconds_until(lambda one=one: not records.count(_STILL_HELD, one), within_s=PROBED_S)  # type: ignore[misc]
            moved.append(time.monotonic() - start)

    def _measure(
        self, fault: Fault, began: float, ended: float, moved: list[float], watcher: Thread | None
    ) -> None:
        accepted = seconds_until(lambda: bool(self.world.probe("math")), within_s=PROBED_S)
        answered = seconds_until(self._is_answered, within_s=PROBED_S)
        if watcher is not None:
            watcher.join()
        with self._lock:
            others = [*self._open.values()]
            del self._open[fault.number]
            is_alone = len(others) == 1 and not any(end > began for _, end, _ in self.intervals)
            self.intervals.append((began, time.time(), fault.name))
            self.recoveries.append(
                Recovery(
                    fault=fault,
                    began=began,
                    ended=ended,
                    accepted_s=accepted,
                    answered_s=None if answered is None or accepted is None else accepted + answered,
                    moved_s=tuple(moved),
                    is_alone=is_alone,
                )
            )
        self.say(
            f"{fault.number:4d} after job {fault.after}: {fault.name}, {_clock(began)} to {_clock(ended)}; "
            f"accepted {_seconds(accepted)}, answered {_seconds(answered)}{_moves(moved)}"
        )

    def _is_answered(self) -> bool:
        """Whether one urgent job of each model is answered; waits for both."""
        ids = [self.world.probe(kind) for kind in ("math", "code")]
        return all(
            seconds_until(lambda job_id=job_id: self.world.is_final(job_id), within_s=PROBED_S) is not None  # type: ignore[misc]
            for job_id in ids
        )


def _moves(moved: Sequence[float]) -> str:
    return f", moved {', '.join(f'{each:.1f}' for each in sorted(moved))} s" if moved else ""


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M:%S.%f}"[:-4]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"
