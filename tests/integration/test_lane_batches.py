"""A flood through real workers: held jobs follow each other without the reconciler, and every one ends."""

from __future__ import annotations

import pytest

from tests.harness import Installation, eventually


@pytest.mark.parametrize("priority", ["normal", "low"])
def test_held_jobs_are_announced_as_others_end_though_nobody_reconciles(
    fresh: Installation, priority: str
) -> None:
    fresh.settings["MATHCODE_RECONCILE_S"] = "300"
    fresh.start("api", "mathstral")
    jobs = [fresh.submit("Prove it", max_tokens=1, priority=priority) for _ in range(60)]
    eventually(lambda: all(fresh.status(job_id) == "succeeded" for job_id in jobs[-3:]), within_s=20, every_s=0.2)
    for job_id in jobs:
        assert fresh.finished(job_id, within_s=10)["status"] == "succeeded"
