"""Laws of supervision, shown on small real processes under a real supervisor in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness import ROOT, eventually

# argv: directory, stages as JSON: [[{"name": ..., "code": ..., "stop_s": ...}]]
SUPERVISE = """
import json, os, signal, sys
from pathlib import Path
from stack.child import Child, Command
from stack.supervisor import Supervisor

directory = Path(sys.argv[1])

def child(name, code, stop_s=5.0, program=sys.executable):
    return Child(Command(
        name=name, argv=(program, "-c", code), log=directory / f"{name}.log", cwd=directory,
        environment=os.environ, stop_steps=((signal.SIGTERM, stop_s),),
    ))

def write():
    states = {watched.child.name: watched.state().model_dump(mode="json") for watched in supervisor.watched}
    draft = directory / "states.draft"
    draft.write_text(json.dumps(states))
    draft.rename(directory / "states.json")

supervisor = Supervisor(
    [[child(**words) for words in stage] for stage in json.loads(sys.argv[2])],
    say=lambda name, text: print(f"{name}: {text}", flush=True),
    on_change=write,
    on_tick=lambda: None,
)
supervisor.run()
"""

SLEEPER = "import signal; signal.pause()"
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""
PARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
signal.pause()
"""
LAST_WORDS = """
import signal, sys
from pathlib import Path
def leave(*_):
    with Path("order").open("a") as order:
        order.write("{name}\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("listening", flush=True)
signal.pause()
"""


@dataclass
class Supervised:
    """A running supervisor and what it says."""

    directory: Path
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def states(self) -> dict[str, Any]:
        file = self.directory / "states.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def pid(self, name: str) -> int:
        return int(eventually(lambda: self.states().get(name, {}).get("pid")))

    def await_log(self, name: str, text: str) -> None:
        log = self.directory / f"{name}.log"
        eventually(lambda: log.exists() and text in log.read_text())

    def listen(self, text: str) -> str:
        """The next said line that contains `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said: {self.said}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []

    def start(*stages: list[dict[str, Any]]) -> Supervised:
        command = [sys.executable, "-c", SUPERVISE, str(tmp_path), json.dumps(stages)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        return Supervised(tmp_path, process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_that_dies_is_started_again(supervise: Any) -> None:
    running = supervise([{"name": "one", "code": SLEEPER}])
    first = running.pid("one")
    os.kill(first, signal.SIGKILL)
    running.listen("one: was ended by SIGKILL (next start in 1 s)")
    running.listen("one: started again")
    state = eventually(lambda: (s := running.states()["one"])["pid"] not in (None, first) and s)
    assert state["phase"] == "running"
    assert state["restarts"] == 1


def test_a_process_that_keeps_dying_is_started_ever_more_slowly(supervise: Any) -> None:
    running = supervise([{"name": "one", "code": "raise SystemExit('no luck')"}])
    running.listen("ended with exit status 1, saying: no luck (next start in 1 s)")
    begun = time.monotonic()
    running.listen("(next start in 2 s)")
    running.listen("(next start in 4 s)")
    assert time.monotonic() - begun >= 3.0


def test_bad_configuration_is_said_and_not_tried_again_while_others_go_on(supervise: Any) -> None:
    refusing = "import sys; print('MODEL: no such directory'); sys.exit(78)"
    running = supervise([{"name": "bad", "code": refusing}, {"name": "good", "code": SLEEPER}])
    running.listen("bad: does not run and is not started again until this is mended: MODEL: no such directory")
    states = eventually(lambda: (s := running.states()).get("bad", {}).get("phase") == "refused" and s)
    assert states["bad"]["reason"] == "MODEL: no such directory"
    assert states["good"]["phase"] == "running"
    assert running.end() == 0
    assert not any("bad: started again" in line for line in running.said)


def test_a_program_that_is_not_there_is_tried_again_while_others_go_on(supervise: Any) -> None:
    absent = {"name": "absent", "code": "", "program": "/nonexistent/program"}
    running = supervise([absent, {"name": "good", "code": SLEEPER}])
    assert "/nonexistent/program" in running.listen("absent: cannot be started")
    running.listen("(next start in 2 s)")
    assert is_alive(running.pid("good"))


def test_stages_stop_in_reverse_order(supervise: Any, tmp_path: Path) -> None:
    names = ["database", "worker", "api"]
    running = supervise(*([{"name": name, "code": LAST_WORDS.format(name=name)}] for name in names))
    for name in names:
        running.await_log(name, "listening")
    assert running.end() == 0
    assert (tmp_path / "order").read_text().split() == ["api", "worker", "database"]
    assert {state["phase"] for state in running.states().values()} == {"stopped"}


def test_who_does_not_listen_is_killed_after_a_bound(supervise: Any) -> None:
    running = supervise([{"name": "deaf", "code": STUBBORN, "stop_s": 0.5}])
    pid = running.pid("deaf")
    running.await_log("deaf", "deaf")
    assert running.end() == 0
    assert not psutil.pid_exists(pid)


def test_a_second_signal_stops_at_once(supervise: Any) -> None:
    running = supervise([{"name": "deaf", "code": STUBBORN, "stop_s": 600.0}])
    pid = running.pid("deaf")
    running.await_log("deaf", "deaf")
    running.process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(0.5)
    assert running.end(signal.SIGINT) == 0
    assert not psutil.pid_exists(pid)


def test_what_a_process_leaves_behind_ends_with_it(supervise: Any, tmp_path: Path) -> None:
    running = supervise([{"name": "parent", "code": PARENT}])
    running.await_log("parent", "\n")
    grandchild = int((tmp_path / "parent.log").read_text())
    assert running.end() == 0
    eventually(lambda: not is_alive(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child's life to its parent's")
def test_nobody_outlives_a_killed_supervisor(supervise: Any) -> None:
    running = supervise([{"name": "one", "code": SLEEPER}, {"name": "deaf", "code": STUBBORN}])
    pids = [running.pid("one"), running.pid("deaf")]
    running.await_log("deaf", "deaf")
    running.process.kill()
    eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_alarming_lines_reach_the_screen_and_others_do_not(supervise: Any) -> None:
    talking = "print('INFO x: quiet'); print('12:00 ERROR x: loud', flush=True); import signal; signal.pause()"
    running = supervise([{"name": "one", "code": talking}])
    running.listen("one: 12:00 ERROR x: loud")
    assert not any("quiet" in line for line in running.said)


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
