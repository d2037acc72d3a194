"""Laws of the lock: one stack per data directory, whatever became of the last one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import StackAlreadyRunning
from stack.layout import Layout
from stack.lock import hold_lock, running_stack

HOLDER = """
import sys
from pathlib import Path
from stack.layout import Layout
from stack.lock import hold_lock
with hold_lock(Layout(Path(sys.argv[1])), url="http://127.0.0.1:1"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.create()
    return made


def hold_elsewhere(layout: Layout) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HOLDER, str(layout.data_dir)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
    process.send_signal(number)
    process.communicate()


def test_a_second_stack_is_refused_with_process_and_url(layout: Layout) -> None:
    process = hold_elsewhere(layout)
    with pytest.raises(StackAlreadyRunning) as caught, hold_lock(layout, url="http://127.0.0.1:2"):
        pass
    end(process)
    assert str(process.pid) in caught.value.message
    assert "http://127.0.0.1:1" in caught.value.message


def test_the_holder_is_known_to_others(layout: Layout) -> None:
    process = hold_elsewhere(layout)
    holder = running_stack(layout)
    end(process)
    assert holder is not None
    assert holder.pid == process.pid


def test_a_killed_holder_holds_nothing(layout: Layout) -> None:
    end(hold_elsewhere(layout), signal.SIGKILL)
    assert running_stack(layout) is None
    with hold_lock(layout, url="http://127.0.0.1:2"):
        pass


def test_looking_at_the_lock_does_not_take_it(layout: Layout) -> None:
    assert running_stack(layout) is None
    with hold_lock(layout, url="http://127.0.0.1:2"):
        assert running_stack(layout) is not None
    assert running_stack(layout) is None


def test_the_lock_is_not_inherited_by_children(layout: Layout) -> None:
    with hold_lock(layout, url="http://127.0.0.1:2"):
        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert running_stack(layout) is None
    end(child)


def test_the_holder_writes_its_own_number(layout: Layout) -> None:
    with hold_lock(layout, url="http://127.0.0.1:2"):
        holder = running_stack(layout)
    assert holder is not None
    assert holder.pid == os.getpid()
