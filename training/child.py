"""Runs one step of a run in a process of its own, and reads what it says while it works.

The child holds the other end of its standard input: when this process dies in whatever way, it sees the end of it
and ends as well (`training.leash`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event as Flag
from threading import Thread
from typing import IO

from pydantic import ValidationError

from training.folder import EVENTS, Event

STOP_S = 60.0
"""How long a child that was told to stop may save."""
TICK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`code` is the exit status, negative for a signal; `last_words` the last line of its log."""

    code: int
    was_told: bool
    has_stalled: bool
    has_moved: bool
    last_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """`log` gets what the child writes to its standard error."""

    module: str
    folder: Path
    log: Path
    environment: Mapping[str, str]
    stall_s: float

    def run(self, *, on_event: Callable[[Event], None], stopped: Flag) -> Ending:
        """Run to the end; `stopped` has it stop early, silence for `stall_s` has it killed."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self.module, str(self.folder)],
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            told, stalled, moved = self._follow(process, on_event, stopped)
        finally:
            _kill(process)
        words = _last_line(self.log, begin)
        return Ending(code=process.wait(), was_told=told, has_stalled=stalled, has_moved=moved, last_words=words)

    def _follow(
        self, process: subprocess.Popen[bytes], on_event: Callable[[Event], None], stopped: Flag
    ) -> tuple[bool, bool, bool]:
        """Whether it was told to stop, whether it stalled, whether it made a step."""
        events: Queue[Event | None] = Queue()
        Thread(target=_read, args=(process.stdout, events), name="events", daemon=True).start()
        heard, told_at, has_moved = time.monotonic(), None, False
        while True:
            with suppress(Empty):
                event = events.get(timeout=TICK_S)
                if event is None:
                    process.wait()
                    return told_at is not None, False, has_moved
                heard, has_moved = time.monotonic(), has_moved or event.event == "step"
                on_event(event)
            now = time.monotonic()
            if stopped.is_set() and told_at is None:
                told_at = now
                process.send_signal(signal.SIGTERM)
            if told_at is not None and now - told_at > STOP_S:
                return True, False, has_moved
            if now - heard > self.stall_s:
                return told_at is not None, True, has_moved


def _read(stream: IO[bytes] | None, events: Queue[Event | None]) -> None:
    """Pass on what can be understood; a library that prints to standard output is no reason to end."""
    for line in stream or ():
        with suppress(ValidationError):
            events.put(EVENTS.validate_json(line))
    events.put(None)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _last_line(log: Path, begin: int) -> str:
    with log.open("rb") as stream:
        stream.seek(max(begin, log.stat().st_size - 8192))
        lines = stream.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
