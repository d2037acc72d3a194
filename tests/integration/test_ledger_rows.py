"""The ledger's statements find their rows by an index; `make load` says the same of a million rows."""

from __future__ import annotations

import pytest

from benchmarks.ledger_rows import Explained, full_scans, measure
from stack.servers import ServerUrls

ROWS, WAITING = 20_000, 100


@pytest.fixture
def filled(urls: ServerUrls) -> Explained:
    return measure(urls.database_url, rows=ROWS, waiting=WAITING)


def test_no_statement_on_the_way_of_a_job_reads_all_jobs(filled: Explained) -> None:
    assert len(filled.plans) >= 20
    assert {step: scans for step, plan in filled.plans.items() if (scans := full_scans(plan))} == {}


def test_a_plan_that_reads_all_jobs_is_noticed(urls: ServerUrls) -> None:
    ledger = measure(urls.database_url, rows=2000, waiting=0)
    ledger.step = "all"
    ledger.fetch("SELECT count(*) FROM job WHERE request ->> 'prompt' = 'x'")
    assert full_scans(ledger.plans["all"]) == ["job"]
    ledger.close()
