"""Break the system on purpose, by a seed: `python -m tests.faults.fuzz --seed 7 --jobs 30000 --faults 200`.

Callers submit, follow, cancel and batch while processes and servers are killed, frozen, cut off, filled and
emptied; afterwards an oracle looks at everything that is left. What a seed draws is the same everywhere; how it
falls together is up to the machine, so a seed that failed is run again a few times.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from threading import Event, Thread

from tests.faults.arson import Arson, Recovery
from tests.faults.catalogue import KINDS, draw, missing
from tests.faults.learning import Teacher, await_trainings
from tests.faults.load import Load
from tests.faults.oracle import Findings, Oracle
from tests.faults.promotions import Promoter
from tests.faults.world import World, world

STUCK_S = 30.0
"""Nothing was mended and no job has ended for so long: what is still open is stuck."""
DELIVERED_S = 90.0
"""A webhook whose worker died is repeated after its lease of 60 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    findings: Findings
    recoveries: Sequence[Recovery]
    seconds: float
    world: World


def fuzz(directory: Path, *, seed: int, jobs: int, faults: int, rate: float, only: str = "") -> Run:
    """One run; everything it started is gone when it returns."""
    started = time.monotonic()
    with world(directory) as made:
        load = Load(made, seed=seed, jobs=jobs, rate=rate)
        schedule = [each for each in draw(seed, faults=faults, jobs=jobs) if only in each.name]
        for kind, why in (left_out := missing(made)).items():
            _say(f"left out: {kind} ({why})")
        schedule = [each for each in schedule if each.kind not in left_out]
        arson = Arson(made, schedule, progress=lambda: load.progress, say=_say)
        promoter = Promoter(made, jobs=jobs, progress=lambda: load.progress)
        teacher = Teacher(made, jobs=jobs, progress=lambda: load.progress)
        threads = [Thread(target=each.run, daemon=True) for each in (load, arson, promoter, teacher)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _say(f"all is mended, {_open(made)} jobs are open")
        _settle(made)
        await_trainings(made)
        findings = Oracle(made, load.book, seed=seed, damage=arson.intervals).judge()
        findings.figures |= {
            "answers by status": dict(load.book.statuses),
            "ended by themselves": dict(made.ended),
        }
        return Run(findings=findings, recoveries=arson.recoveries, seconds=time.monotonic() - started, world=made)


def _open(made: World) -> int:
    return made.records.count("SELECT count(*) FROM job WHERE finished_at IS NULL")


def _settle(made: World) -> None:
    """Until every job, batch and webhook has ended, or nothing moves any more."""
    left, since = _open(made), time.monotonic()
    while left and time.monotonic() - since < STUCK_S:
        Event().wait(0.25)
        if (now := _open(made)) != left:
            left, since = now, time.monotonic()
    pending = (
        "SELECT (SELECT count(*) FROM webhook_delivery WHERE state = 'pending')"
        " + (SELECT count(*) FROM batch WHERE state NOT IN ('completed', 'failed', 'expired', 'cancelled'))"
    )
    end = time.monotonic() + DELIVERED_S
    while made.records.count(pending) and time.monotonic() < end:
        Event().wait(0.25)


def print_table(run: Run) -> None:
    for name, value in run.findings.figures.items():
        _say(f"{name:24} {value}")
    _say(f"{'seconds':24} {run.seconds:.0f}")
    _say("")
    _say(f"{'fault':32} {'times':>5} {'accepted p50':>13} {'p99':>7} {'answered p50':>13} {'p99':>7}")
    by_name: dict[str, list[Recovery]] = defaultdict(list)
    for recovery in run.recoveries:
        by_name[recovery.fault.kind].append(recovery)
    for name, found in sorted(by_name.items()):
        accepted = _percentiles([r.accepted_s for r in found])
        answered = _percentiles([r.answered_s for r in found])
        _say(f"{name:32} {len(found):5d} {accepted[0]:>13} {accepted[1]:>7} {answered[0]:>13} {answered[1]:>7}")
    for label, chosen in (("all", run.recoveries), ("no other fault", [r for r in run.recoveries if r.is_alone])):
        moved = [seconds for recovery in chosen for seconds in recovery.moved_s]
        p50, p99 = _percentiles(moved)
        _say(f"jobs of killed workers, begun elsewhere after ({label}): {len(moved)}, p50 {p50} s, p99 {p99} s")


def _percentiles(values: Sequence[float | None]) -> tuple[str, str]:
    known = [value if value is not None else float("inf") for value in values]
    if not known:
        return "-", "-"
    if len(known) == 1 or float("inf") in known:
        return f"{min(known):.2f}", f"{max(known):.2f}"
    points = quantiles(known, n=100, method="inclusive")
    return f"{points[49]:.2f}", f"{points[98]:.2f}"


def _say(line: str) -> None:
    print(line, flush=True)


def _parse() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: a fresh one, which is printed")
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--faults", type=int, default=40)
    parser.add_argument("--rate", type=float, default=40.0, help="jobs per second")
    parser.add_argument("--only", default="", help="of the schedule, only faults with this in their name")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run that broke nothing")
    parser.add_argument("--list", action="store_true", help="print the schedule and end")
    return parser.parse_args()


def main() -> int:
    chosen = _parse()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # nothing started stays behind
    seed = secrets.randbelow(10**9) if chosen.seed is None else chosen.seed
    replay = (
        f"python -m tests.faults.fuzz --seed {seed} --jobs {chosen.jobs} --faults {chosen.faults}"
        f" --rate {chosen.rate:g}" + (f" --only '{chosen.only}'" if chosen.only else "")
    )
    if chosen.list:
        for fault in draw(seed, faults=chosen.faults, jobs=chosen.jobs):
            _say(f"{fault.number:4d} after job {fault.after}: {fault.name} for {fault.lasts_s} s")
        return 0
    _say(f"{replay}   ({len(KINDS)} kinds of faults)")
    logs = Path(tempfile.mkdtemp(prefix="mathcode-faults-"))
    run = fuzz(logs, seed=seed, jobs=chosen.jobs, faults=chosen.faults, rate=chosen.rate, only=chosen.only)
    print_table(run)
    if not run.findings.broken and not chosen.keep:
        shutil.rmtree(logs)
    for law in run.findings.broken:
        _say(f"BROKEN: {law}")
    if run.findings.broken:
        _say(f"replay: {replay}\nlogs: {logs}")
    return 1 if run.findings.broken else 0


if __name__ == "__main__":
    sys.exit(main())
