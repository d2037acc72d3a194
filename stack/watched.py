"""One child under supervision: started, missed when it dies, started again."""

from __future__ import annotations

import os
import signal
import time

from core.errors import MathcodeError
from stack.backoff import Backoff
from stack.child import Child, tail
from stack.logtail import without_prefix
from stack.state import ProcessPhase, ProcessState, created


class Watched:
    """A child with its history. Each step returns what happened, in words for the screen, or None."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.phase = ProcessPhase.STOPPED
        self._since = time.time()
        self._launched = 0.0
        self._next_launch = 0.0
        self._backoff = Backoff()
        self._restarts = 0
        self._reason: str | None = None

    def launch(self) -> str | None:
        """Start the child, unless it runs already."""
        if self.child.pid is None:
            try:
                self.child.launch()
            except (OSError, MathcodeError) as error:
                return self._await_next(f"cannot be started: {error}")
        self._launched = time.monotonic()
        self._enter(ProcessPhase.RUNNING, None)
        return None

    def check(self) -> str | None:
        """Notice a death; start again what has waited long enough."""
        if self.phase is ProcessPhase.RUNNING and (status := self.child.poll()) is not None:
            return self._bury(status)
        if self.phase is ProcessPhase.WAITING and time.monotonic() >= self._next_launch:
            self._restarts += 1
            return self.launch() or "started again"
        return None

    def seconds_to_next_launch(self) -> float | None:
        return max(0.0, self._next_launch - time.monotonic()) if self.phase is ProcessPhase.WAITING else None

    def stop(self) -> None:
        self.child.stop()
        self._enter(ProcessPhase.STOPPED, None)

    def state(self) -> ProcessState:
        pid = self.child.pid
        return ProcessState(
            name=self.child.name,
            phase=self.phase,
            pid=pid,
            created=created(pid),
            since=self._since,
            restarts=self._restarts,
            reason=self._reason,
        )

    def _bury(self, status: int) -> str:
        self.child.kill()  # what it left in its group
        last_words = without_prefix(tail(self.child.command.log, lines=1))
        if status == os.EX_CONFIG:
            self._enter(ProcessPhase.REFUSED, last_words)
            return f"does not run and is not started again until this is mended: {last_words}"
        self._backoff = self._backoff.after_death(lived_s=time.monotonic() - self._launched)
        return self._pause(_in_words(status, last_words))

    def _await_next(self, reason: str) -> str:
        self._backoff = self._backoff.after_death(lived_s=0.0)
        return self._pause(reason)

    def _pause(self, reason: str) -> str:
        self._next_launch = time.monotonic() + self._backoff.delay_s
        self._enter(ProcessPhase.WAITING, reason)
        return f"{reason} (next start in {self._backoff.delay_s:g} s)"

    def _enter(self, phase: ProcessPhase, reason: str | None) -> None:
        self.phase = phase
        self._since = time.time()
        self._reason = reason


def _in_words(status: int, last_words: str) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}" + (f", saying: {last_words}" if status > 0 and last_words else "")
