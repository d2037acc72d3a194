"""What tests of whole trainings share: a tiny model on small files, and looks at the processes that train."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from core.database import Database
from core.training_runs import Run, RunStore
from tests.files_of_code import insert_packages
from tests.harness import ROOT, Installation, eventually

REPOSITORIES = ("json", "wsgiref", "dbm", "curses", "zoneinfo")
SETTINGS = {
    "MATHCODE_PROFILE": "tiny",
    "MIN_NEW_FILES": "6",
    "CHECK_INTERVAL": "1",
    "MATHCODE_ROW_TOKENS": "256",
    "BATCH_SIZE": "4",
    "MATHCODE_MICRO_BATCH": "4",
    "MATHCODE_LORA_R": "8",
    "MATHCODE_LORA_ALPHA": "16",
    "MATHCODE_LEARNING_RATE": "0.01",
    "MATHCODE_WARM_LEARNING_RATE": "0.01",
    "MATHCODE_CHECKPOINT_S": "2",
    "MAX_DATASET_SIZE": "8",
    "MATHCODE_GRADIENT_CHECKPOINTING": "false",
    "MATHCODE_REPLAY_RATE": "0",
    "MATHCODE_MOST_LOOPS": "1",  # so small a model loops as soon as it learns anything
}


def mathcode(installed: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        cwd=ROOT,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def begin_training(installed: Installation, runs: RunStore, database: Database) -> None:
    """Return when the first run has made a few steps."""
    insert_packages(database, REPOSITORIES)
    installed.start("light", "training", "beat")
    eventually(lambda: runs.latest(1), within_s=30)
    eventually(lambda: len(runs.steps(1)) > 2, within_s=150)


def ended(runs: RunStore, run_id: int, *, within_s: float = 240) -> Run:
    eventually(lambda: runs.get(run_id).state.is_final, within_s=within_s, every_s=0.2)
    return runs.get(run_id)


def kill_trainer(installed: Installation) -> None:
    (process,) = trainers_of(installed.data_dir)
    os.kill(process.pid, signal.SIGKILL)


def trainers_of(data_dir: Path) -> list[psutil.Process]:
    """The processes that train for this installation."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "training.trainer" in words and any(word.startswith(str(data_dir)) for word in words):
            found.append(process)
    return found
