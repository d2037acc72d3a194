"""The examples do what they say, against real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.keys import Limits, Rate
from tests.harness import ROOT, Installation
from tests.keyed import new_caller


def run(installed: Installation, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**installed.environment, "MATHCODE_URL": installed.url, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def served(fresh: Installation) -> Installation:
    fresh.settings["MATHCODE_REQUIRE_KEYS"] = "always"
    fresh.start("api", "mathstral", "light")
    return fresh


def test_submit_and_poll_prints_the_answer_and_respects_a_limit(served: Installation) -> None:
    caller = new_caller(served, "example", Limits(requests=Rate(amount=1, period_s=1)))
    script = (sys.executable, "examples/submit_and_poll.py", "Prove that 1 + 1 = 2", "--url", served.url, "--key")
    for _ in range(2):
        done = run(served, *script, caller.token)
        assert done.returncode == 0, done.stderr
        (job, *_) = caller.get("/v1/jobs").json()["data"]
        assert done.stdout.strip() == caller.job(job["id"])["answer"]["response"].strip()
    refused = run(served, *script, "mk_wrong")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not valid" in refused.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example needs curl")
def test_a_key_is_made_used_listed_and_revoked(served: Installation, tmp_path: Path) -> None:
    wrapper = tmp_path / "mathcode"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli.main "$@"\n')
    wrapper.chmod(0o755)
    done = run(served, "sh", "examples/keys.sh", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr + done.stdout
    assert '"status":"queued"' in done.stdout.replace(" ", "")
    assert "is revoked" in done.stdout
    shown = run(served, sys.executable, "-m", "cli.main", "keys", "list", COLUMNS="40").stdout
    listed = json.loads(run(served, sys.executable, "-m", "cli.main", "keys", "list", "--json").stdout)
    assert [key["revoked_at"] is None for key in listed] == [False]
    assert listed[0]["id"] in shown and " in batches" in shown  # nothing is cut
