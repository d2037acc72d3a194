"""Laws of a run's folder: never two trainers in it, and none kept out by one that has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from core.errors import FolderBusy
from ensemble.engine.adapter import WEIGHTS_FILE
from tests.harness import ROOT
from training.folder import EVENTS, EX_INTERRUPTED, AliveEvent, FailedEvent, RunFolder, StepEvent
from training.folder_lock import LOCK_FILE, folder_lock
from training.trainer import Training

from .conftest import NewRun, Told

HOLDER = """
import sys
from pathlib import Path
from training.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of tmp_path."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def trainer_process(folder: RunFolder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "training.trainer", str(folder.path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_who_finds_a_folder_taken_says_by_whom(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with (
        pytest.raises(FolderBusy, match=f"process {holder.pid} still"),
        folder_lock(tmp_path, patience_s=0),
    ):
        pass


def test_a_frozen_holder_keeps_its_folder_and_a_killed_one_does_not(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(FolderBusy), folder_lock(tmp_path, patience_s=0.5):
        pass
    holder.kill()
    holder.wait()
    with folder_lock(tmp_path, patience_s=0):
        assert (tmp_path / LOCK_FILE).read_text() == str(os.getpid())


def test_a_holder_that_ends_in_time_is_waited_for(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    Timer(0.5, holder.kill).start()
    with folder_lock(tmp_path, patience_s=20):
        assert holder.wait(1) == -signal.SIGKILL


def test_processes_that_a_holder_starts_do_not_keep_its_folder(tmp_path: Path) -> None:
    with folder_lock(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with folder_lock(tmp_path, patience_s=0):
            assert child.poll() is None
    finally:
        child.kill()
        child.communicate()


def test_folders_of_other_runs_are_free(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with folder_lock(other, patience_s=0):
        assert holder.poll() is None


def test_a_trainer_in_a_taken_folder_says_so_and_touches_nothing(new_run: NewRun, told: Told) -> None:
    folder = new_run()
    before = sorted(folder.path.rglob("*"))
    with folder_lock(folder.path), pytest.raises(FolderBusy):
        Training(folder=folder, tell=told, patience_s=0.2).run()
    assert sorted(folder.path.rglob("*")) == sorted([*before, folder.path / LOCK_FILE])
    assert [type(event) for event in told.events] == [AliveEvent]


def test_a_trainer_that_waits_for_a_folder_ends_at_once_when_it_is_told_to(new_run: NewRun) -> None:
    folder = new_run()
    with folder_lock(folder.path):
        process = trainer_process(folder)
        assert process.stdout is not None
        assert isinstance(EVENTS.validate_json(process.stdout.readline()), AliveEvent)
        process.terminate()
        assert process.communicate(timeout=10)[0] == ""
        assert process.returncode == EX_INTERRUPTED


def test_of_two_trainers_at_once_one_trains_and_the_other_finds_the_work_done(new_run: NewRun, told: Told) -> None:
    """Together they take every step once, and leave what one alone leaves, to the bit."""
    alone, shared = new_run("alone", epochs=2), new_run("shared", epochs=2, checkpoint_s=0.1)
    assert Training(folder=alone, tell=told).run() == 0
    processes = [trainer_process(shared) for _ in range(2)]
    lines = [line for process in processes for line in process.communicate(timeout=90)[0].splitlines()]
    events = [EVENTS.validate_json(line) for line in lines]
    assert [process.returncode for process in processes] == [0, 0]
    assert not [event for event in events if isinstance(event, FailedEvent)]
    steps = [event.step for event in events if isinstance(event, StepEvent)]
    assert steps == [event.step for event in told.of(StepEvent)]
    assert (shared.adapter / WEIGHTS_FILE).read_bytes() == (alone.adapter / WEIGHTS_FILE).read_bytes()
