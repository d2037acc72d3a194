"""What runs a step of a training in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event as Flag

import psutil
import pytest

from core.settings import child_environment
from tests.harness import eventually
from training.child import Child
from training.folder import Event, NoteEvent, StepEvent

SAY_STEP = (
    'print(\'{"event": "step", "step": 1, "steps": 2, "loss": 1.5, "learning_rate": 0.1, "tokens": 9, '
    '"tokens_per_s": 3.0}\', flush=True)\n'
)
WAIT = "import time\nwhile True: time.sleep(0.05)\n"


@pytest.fixture
def child(tmp_path: Path) -> Callable[..., Child]:
    def make(source: str, *, stall_s: float = 30.0) -> Child:
        (tmp_path / "told.py").write_text(source, encoding="utf-8")
        return Child(
            module="told",
            folder=tmp_path,
            log=tmp_path / "training.log",
            environment=child_environment(PYTHONPATH=f"{tmp_path}:{Path.cwd()}"),
            stall_s=stall_s,
        )

    return make


def test_what_a_child_says_arrives_in_order_and_other_output_is_passed_over(child: Callable[..., Child]) -> None:
    heard: list[Event] = []
    source = f'print("loading 3 %")\n{SAY_STEP}print(\'{{"event": "note", "message": "halved"}}\')\n'
    ending = child(source).run(on_event=heard.append, stopped=Flag())
    assert ending.code == 0
    assert ending.has_moved
    assert [type(event) for event in heard] == [StepEvent, NoteEvent]


def test_the_last_words_of_a_child_that_broke_are_kept(child: Callable[..., Child]) -> None:
    ending = child("raise ValueError('no such layer')").run(on_event=print, stopped=Flag())
    assert ending.code == 1
    assert ending.last_words == "ValueError: no such layer"


def test_a_child_that_is_silent_for_too_long_is_ended(child: Callable[..., Child]) -> None:
    ending = child(SAY_STEP + WAIT, stall_s=1.5).run(on_event=lambda _: None, stopped=Flag())
    assert ending.has_stalled
    assert ending.code == -signal.SIGKILL


def test_a_child_that_is_told_to_stop_may_save_first(child: Callable[..., Child], tmp_path: Path) -> None:
    source = (
        "import signal, sys, pathlib\n"
        "def save(*_):\n    pathlib.Path('SAVED').write_text('x'); sys.exit(75)\n".replace(
            "SAVED", str(tmp_path / "saved")
        )
        + f"signal.signal(signal.SIGTERM, save)\n{SAY_STEP}{WAIT}"
    )
    stopped = Flag()
    ending = child(source).run(on_event=lambda _: stopped.set(), stopped=stopped)
    assert (ending.code, ending.was_told) == (75, True)
    assert (tmp_path / "saved").exists()


def test_nothing_of_a_child_is_left_when_it_ended(child: Callable[..., Child], tmp_path: Path) -> None:
    """Also where it started others of its own."""
    mark = tmp_path / "pid"
    source = (
        "import subprocess, sys, pathlib\n"
        f"p = subprocess.Popen([sys.executable, '-c', {WAIT!r}], stdout=subprocess.DEVNULL)\n"
        f"pathlib.Path({str(mark)!r}).write_text(str(p.pid))\n"
    )
    child(source).run(on_event=lambda _: None, stopped=Flag())
    grandchild = int(mark.read_text())
    eventually(lambda: not psutil.pid_exists(grandchild) or _is_zombie(grandchild), within_s=10)


def test_a_child_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    grandchild = (
        "import os, pathlib, time\nfrom training.leash import tie_to_parent\ntie_to_parent()\n"
        f"pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n{WAIT}"
    )
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys\n"
            f"p = subprocess.Popen([sys.executable, '-c', {grandchild!r}], stdin=subprocess.PIPE)\n{WAIT}",
        ],
        cwd=Path.cwd(),
    )
    try:
        pid = int(eventually(lambda: mark.exists() and mark.read_text(), within_s=20))
        assert psutil.pid_exists(pid)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    eventually(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), within_s=10)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
