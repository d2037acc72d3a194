"""The benchmark of training can be tried out anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT


def test_the_benchmark_runs_tiny_on_the_cpu_and_its_proofs_hold(tmp_path: Path) -> None:
    written = tmp_path / "training.json"
    options = [
        "--tiny",
        "--device",
        "cpu",
        "--rows",
        "1",
        "--row-tokens",
        "128",
        "--steps",
        "1",
        "--rank",
        "4",
        "--kept-blocks",
        "1",
    ]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", *options, "--json", str(written)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = json.loads(written.read_text(encoding="utf-8"))
    assert found["errors"] == {}
    assert all(row["is_good"] for row in found["parts"]["proofs"])
    assert [row["way"] for row in found["parts"]["speed"]] == [
        "plain bf16",
        "plain bf16 checkpointing",
        "ours bf16",
        "ours bf16 checkpointing but 1 blocks",
    ]
