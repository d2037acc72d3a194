"""Does the ledger get slower as it grows? Every statement on the path of a job, before and after a million rows.

    python -m benchmarks.ledger_rows [--rows 1000000] [--open 2000] [--plans]

The rows are jobs that ended within `MONTH_S`, each with one completion, beside `--open` jobs that wait. Statements
are those of the stores themselves, planned by PostgreSQL (EXPLAIN) and then timed, the median of `TIMES`. One that
reads a table of jobs from end to end is named and makes the exit status 1; with `--plans` all plans are shown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from core.clock_steps import ClockSteps
from core.database import Database, Parameters, Row
from core.idempotency import IdempotencyStore, Once
from core.jobs import JobStore, NewJob, Origin
from core.lanes import LaneStore
from core.leases import Claim, LeaseStore
from core.limits import LimitStore
from core.messages import (
    Completion,
    GenerationRequest,
    JobState,
    ModelName,
    Priority,
    Route,
    Sampling,
    TaskType,
)
from core.repairs import RepairStore
from core.retention import RetentionStore
from core.webhooks import WebhookStore
from ensemble import merging
from stack.servers import EmbeddedServers, scratch_data_dir

TIMES = 20
MONTH_S = 30 * 86_400
LARGE = {"job", "completion", "webhook_delivery", "idempotency"}

_FILL = """
WITH made AS (
    SELECT number, now() - make_interval(secs => %(month_s)s * number::float8 / %(rows)s) AS at
    FROM generate_series(1, %(rows)s) AS number
), dated AS (
    SELECT at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
                || '7' || lpad(to_hex(number %% 4096), 3, '0') || '8' || lpad(to_hex(number), 15, '0'))::uuid AS id
    FROM made
), jobs AS (
    INSERT INTO job (id, state, request, task_type, strategy, route, answer, created_at, started_at, finished_at,
                     deadline_at, lane, key_id)
    SELECT id, 'succeeded', '{"prompt": "Solve x = 1"}', 'math', 'parallel',
           '{"task_type": "math", "confidence": 1.0, "reasons": []}', '{"response": "x is one"}', at, at, at,
           at + interval '1 day', '/math/normal', 'key-' || (extract(epoch FROM at)::bigint %% 50)
    FROM dated RETURNING id, created_at
)
INSERT INTO completion (job_id, model, state, attempt, outcome, queued_at, started_at, finished_at)
SELECT id, 'mathstral', 'done', 1, '{"model": "mathstral", "text": "x is one"}', created_at, created_at, created_at
FROM jobs
"""


@dataclass
class Explained(Database):
    """A ledger that plans each statement before it runs it, and notes how long it took."""

    url_: str
    plans: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    step: str = ""

    def __post_init__(self) -> None:
        super().__init__(self.url_, connections=1, patience_s=600.0)

    def fetch(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        if self.step and self.step not in self.plans:
            (row,) = super().fetch(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
            self.plans[self.step] = json.dumps(row["QUERY PLAN"])
        start = time.perf_counter()
        found = super().fetch(sql, parameters)
        self.seconds.setdefault(self.step, []).append(time.perf_counter() - start)
        return found


def full_scans(plan: str) -> list[str]:
    """Large tables that a plan reads from end to end."""
    return sorted({node["Relation Name"] for node in _nodes(json.loads(plan)) if _is_full(node)})


def _is_full(node: dict[str, Any]) -> bool:
    return node.get("Node Type") == "Seq Scan" and node.get("Relation Name") in LARGE


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
    elif isinstance(tree, dict):
        yield tree
        for each in tree.values():
            yield from _nodes(each)


def fill(ledger: Database, rows: int) -> None:
    """So many ended jobs; the planner is told."""
    if rows:
        ledger.execute(_FILL, {"rows": rows, "month_s": MONTH_S})
    ledger.execute("VACUUM ANALYZE job")
    ledger.execute("VACUUM ANALYZE completion")


def walk(ledger: Explained, *, waiting: int) -> None:
    """Every statement of a job's way, of its caller's and of the repairs, TIMES times, beside others that wait."""
    path = _Path(ledger)
    for _ in range(waiting):
        path.jobs.insert(path.new())
    ledger.execute("VACUUM ANALYZE job")
    ledger.execute("VACUUM ANALYZE completion")
    for number in range(TIMES):
        path.walk(number)
    ledger.step = ""


class _Path:
    def __init__(self, ledger: Explained) -> None:
        self._ledger = ledger
        self.jobs = JobStore(ledger)
        self._leases = LeaseStore(ledger, worker="bench@host:1", lease_s=60.0)
        self._repairs = RepairStore(ledger, max_attempts=3)
        self._clock = ClockSteps(ledger, lease_s=60.0, card_lease_s=30.0)
        self._keys = IdempotencyStore(ledger)

    def new(self) -> NewJob:
        route = Route(task_type=TaskType.MATH, confidence=1.0, reasons=())
        request = GenerationRequest(prompt="Solve x = 1", sampling=Sampling(max_tokens=1))
        return NewJob(
            request=request,
            route=route,
            models=(ModelName.MATHSTRAL,),
            waiting=frozenset(),
            deadline_s=86_400.0,
            window=12,
            origin=Origin(key_id="key-1"),
        )

    def walk(self, number: int) -> None:
        once = Once(scope="", key=f"key {number}", fingerprint=b"x")
        job = self._do("submit", lambda: self.jobs.insert(self.new()))
        self._do("submit once", lambda: self.jobs.insert_once(self.new(), once))
        self._do("find by key", lambda: self._keys.find(once))
        self._do("count what waits", lambda: LimitStore(self._ledger).queued(None, at_most=100_000))
        self._do("how fast jobs end", lambda: LimitStore(self._ledger).ended_per_s(None))
        self._do("poll", lambda: self.jobs.get(job.id))
        self._do("state", lambda: self.jobs.state(job.id))
        self._do("list", lambda: self.jobs.page(state=None, after=None, limit=50))
        self._do("list by state", lambda: self.jobs.page(state=JobState.SUCCEEDED, after=job.id, limit=50))
        self._do("list of a key", lambda: self.jobs.page(state=None, after=None, limit=50, owner="key-1"))
        lane = self.new().lane
        self._do("advance a lane", lambda: LaneStore(self._ledger).advance(lane, window=number + 13))
        self._answer()
        self._repair()

    def _answer(self) -> None:
        queued = "SELECT job_id::text AS id FROM completion WHERE state = 'queued' LIMIT 1"
        self._ledger.step = ""
        (row,) = self._ledger.fetch(queued)
        claim = self._do("claim", lambda: self._leases.claim(row["id"], ModelName.MATHSTRAL))
        assert isinstance(claim, Claim)
        self._do("renew a lease", lambda: self._leases.renew([claim]))
        outcome = Completion(
            model=ModelName.MATHSTRAL,
            version="bench",
            text="x is one",
            prompt_tokens=3,
            completion_tokens=3,
            finish_reason="stop",
            seconds=0.1,
        )
        verdict = merging.merge(task_type=TaskType.MATH, outcomes=[outcome])
        self._do("finish", lambda: self._leases.finish_job(claim, outcome, verdict))

    def _repair(self) -> None:
        repairs, mathstral = self._repairs, ModelName.MATHSTRAL
        self._do("settle the clock", self._clock.settle)
        self._do("reap", repairs.reap)
        self._do("end what is overdue", lambda: repairs.end_overdue(slack_s=30.0))
        self._do("free what waits", repairs.free_waiting)
        self._do("find what is unmerged", repairs.unmerged)
        self._do(
            "find what is unannounced",
            lambda: repairs.unannounced(mathstral, Priority.NORMAL, messages=10**6, grace_s=2.0),
        )
        self._do("find lanes that hold", lambda: LaneStore(self._ledger).held())
        self._do("claim webhooks", lambda: WebhookStore(self._ledger).claim(limit=16, per_host=2))
        self._do("prune", lambda: RetentionStore(self._ledger).prune(days=3650))

    def _do(self, step: str, act: Callable[[], Any]) -> Any:
        self._ledger.step = step
        return act()


def measure(url: str, *, rows: int, waiting: int) -> Explained:
    ledger = Explained(url)
    with closing(ledger):
        fill(ledger, rows)
        walk(ledger, waiting=waiting)
    return ledger


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--open", type=int, default=2000, dest="waiting")
    parser.add_argument("--plans", action="store_true")
    chosen = parser.parse_args()
    with scratch_data_dir() as directory, EmbeddedServers(directory) as servers:
        with closing(Database(servers.urls.database_url)) as database:
            database.migrate()
        before = measure(servers.urls.database_url, rows=0, waiting=chosen.waiting)
        start = time.monotonic()
        after = measure(servers.urls.database_url, rows=chosen.rows, waiting=0)
        print(f"{chosen.rows} ended jobs written and measured in {time.monotonic() - start:.0f} s")
    print(f"{'statement':26} {'ms before':>10} {'ms after':>10}  reads from end to end")
    offending = 0
    for step, plan in after.plans.items():
        scans = full_scans(plan)
        offending += bool(scans)
        medians = [1000 * statistics.median(each.seconds[step]) for each in (before, after)]
        print(f"{step:26} {medians[0]:10.2f} {medians[1]:10.2f}  {', '.join(scans) or 'nothing'}")
        if chosen.plans:
            print(json.dumps(json.loads(plan), indent=1))
    return 1 if offending else 0


if __name__ == "__main__":
    sys.exit(main())
