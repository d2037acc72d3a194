"""One child process: started in a session of its own, tied to our life, stopped step by step."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stack.accounts import Account
from stack.logtail import readable

LOG_LIMIT_BYTES = 16 * 1024 * 1024
_PR_SET_PDEATHSIG = 1

StopSteps = tuple[tuple[signal.Signals, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run. `stop_steps` are signals, each with the seconds it is given; SIGKILL comes after the last.

    `orphan_signal` is what the process gets when the supervisor dies without stopping it.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    cwd: Path
    environment: Mapping[str, str]
    account: Account | None = None
    stop_steps: StopSteps = ((signal.SIGTERM, 10.0),)
    orphan_signal: signal.Signals = signal.SIGKILL


class Child:
    """A process that runs `command`; may be started again after it ended.

    On Linux it receives its orphan signal when the *thread* that started it ends, however that happens: launch
    it from a thread that lives as long as it shall.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._was_asked = False

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def launch(self) -> None:
        """Start the process; return at once. OSError where the program cannot be executed."""
        command = self.command
        self._was_asked = False
        _rotate(command.log)
        account = command.account.popen_options() if command.account else {}
        with command.log.open("ab") as log:
            self._process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_bind_to_parent(command.orphan_signal),  # noqa: PLW1509  the supervisor has no threads
                **account,
            )

    def poll(self) -> int | None:
        """The exit status once the process has ended (negative: the signal that ended it)."""
        return None if self._process is None else self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, or None if the process outlives `timeout_s`."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        """Send the first stop signal, once: for some programs a second one means something else."""
        if not self._was_asked:
            self.signal(self.command.stop_steps[0][0])
        self._was_asked = True

    def hasten(self) -> None:
        """Make an asked process end now: by its last stop signal if it has several, else by SIGKILL."""
        steps = self.command.stop_steps
        self.signal(steps[-1][0] if len(steps) > 1 else signal.SIGKILL)

    def stop(self) -> None:
        """End the process and whatever it left in its group; idempotent."""
        if self._process is None:
            return
        self.ask_to_stop()
        for position, (number, seconds) in enumerate(self.command.stop_steps):
            if position > 0:
                self.signal(number)
            if self.wait(seconds) is not None:
                break
        self.kill()

    def kill(self) -> None:
        """End the process and its group at once."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def tail(log: Path, *, lines: int = 3) -> str:
    """The last non-empty lines of a log, on one line."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 8192))
        text = stream.read().decode(errors="replace")
    return " | ".join([readable(line.strip()) for line in text.splitlines() if line.strip()][-lines:])


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _bind_to_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What the child runs between fork and exec so that it does not outlive us; all is loaded beforehand."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # we died before the bond was made
            os.kill(os.getpid(), signal.SIGKILL)

    return bind
