"""Passes of the reconciler: one at a time in a process, also when nobody calls for them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2

from core.database import Database
from core.repairs import RepairStore
from tasks.reconciliation import NOTHING
from tests.harness import Installation, eventually
from tests.integration.test_priority import build_reconciler


def test_passes_of_one_process_do_not_pile_up(database: Database, fresh: Installation) -> None:
    """What beat sent during an outage arrives all at once; each pass would read the same and publish it."""
    repairs = RepairStore(database, max_attempts=3)
    reconciler = build_reconciler(database, fresh, repairs)
    with (
        closing(psycopg2.connect(fresh.database_url)) as other,
        other.cursor() as cursor,
        ThreadPoolExecutor(4) as pool,
    ):
        cursor.execute("LOCK TABLE completion")
        first = pool.submit(reconciler.reconcile)
        eventually(lambda: _waits_for_a_lock(database))
        start = time.monotonic()
        assert [pool.submit(reconciler.reconcile).result(5) for _ in range(3)] == [NOTHING] * 3
        assert time.monotonic() - start < 5
        other.rollback()
        assert first.result(10) == NOTHING
        assert not _waits_for_a_lock(database)


def _waits_for_a_lock(database: Database) -> bool:
    sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %(query)s"
    return bool(database.fetch(sql, {"query": "%completion%"}))


def test_a_pass_that_nobody_called_for_is_made_once_it_is_overdue(database: Database, fresh: Installation) -> None:
    reconciler = build_reconciler(database, fresh, RepairStore(database, max_attempts=3))
    database.execute(
        "INSERT INTO worker (name, queue, slots, seen_at) VALUES ('gone', 'light', 1, now() - interval '2 days')"
    )
    reconciler.reconcile_if_overdue(after_s=60)
    assert database.fetch("SELECT 1 FROM worker")
    reconciler.reconcile_if_overdue(after_s=0)
    assert not database.fetch("SELECT 1 FROM worker")
