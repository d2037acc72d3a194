"""Keeps a set of processes running until it is told to stop; one thread, one loop."""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from stack.child import Child
from stack.logtail import LogTail, is_alarming, readable
from stack.watched import Watched

TICK_S = 0.25

Say = Callable[[str, str], None]  # name of the process, what about it


class Supervisor:
    """`stages` are started in order and stopped in reverse order; one stage is stopped all at once.

    `run` must be called from the main thread: it takes over SIGINT, SIGTERM and SIGCHLD while it runs. The first
    SIGINT or SIGTERM stops everything in order, the second one at once. `on_change` is called after every
    change of any process, `on_tick` a few times per second.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Child]],
        *,
        say: Say,
        on_change: Callable[[], None],
        on_tick: Callable[[], None],
        shows_every_line: bool = False,
    ) -> None:
        self.stages = tuple(tuple(Watched(child) for child in stage) for stage in stages)
        self._tails = [(child.name, LogTail(child.command.log)) for stage in stages for child in stage]
        self._say = say
        self._on_change = on_change
        self._on_tick = on_tick
        self._shows_every_line = shows_every_line
        self._stop_requests = 0

    @property
    def watched(self) -> Iterator[Watched]:
        return (watched for stage in self.stages for watched in stage)

    def run(self) -> None:
        """Start, watch, stop; return when every process is gone."""
        with self._signals() as wakeups:
            try:
                for watched in self.watched:
                    self._tell(watched, watched.launch())
                self._on_change()
                while not self._stop_requests:
                    self._wait(wakeups)
                    self._check()
            finally:
                self._stop()

    def _check(self) -> None:
        news = [self._tell(watched, watched.check()) for watched in self.watched]
        self._show_logs()
        if any(news):
            self._on_change()
        self._on_tick()

    def _tell(self, watched: Watched, happened: str | None) -> bool:
        if happened is not None:
            self._say(watched.child.name, happened)
        return happened is not None

    def _show_logs(self) -> None:
        for name, tail in self._tails:
            for line in map(readable, tail.new_lines()):
                if self._shows_every_line or is_alarming(line):
                    self._say(name, line)

    def _stop(self) -> None:
        for stage in reversed(self.stages):
            for watched in stage:
                watched.child.ask_to_stop()
            for watched in stage:
                watched.stop()
            self._on_change()

    def _wait(self, wakeups: socket.socket) -> None:
        """Until a signal arrives, a pause ends or a tick has passed."""
        pauses = [pause for watched in self.watched if (pause := watched.seconds_to_next_launch()) is not None]
        ready, _, _ = select.select([wakeups], [], [], min([TICK_S, *pauses]))
        if ready:
            with suppress(BlockingIOError):
                wakeups.recv(4096)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        self._stop_requests += 1
        if self._stop_requests > 1:
            for watched in self.watched:
                watched.child.hasten()

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Take the signals over; each one makes the yielded socket readable."""
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        fd_before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield receiver
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            receiver.close()
            sender.close()
