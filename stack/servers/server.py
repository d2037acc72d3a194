"""What both embedded servers share: prepare, start, wait until it answers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from core.errors import ConfigurationError
from stack.child import Child, Command, tail

START_TIMEOUT_S = 60.0
POLL_S = 0.02


class Server(Child, ABC):
    """A child that is started only when it answers; after a death `start` brings it back on the same URL."""

    def __init__(self, command: Command, *, url: str) -> None:
        super().__init__(command)
        self.url = url

    @abstractmethod
    def prepare(self) -> None:
        """Make the disk ready for a start, whatever ended the last run."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server serves its first request."""

    def finish(self) -> None:
        """What is done once per start on the answering server."""

    def launch(self) -> None:
        self.prepare()
        super().launch()

    def start(self) -> None:
        """Return when the server answers; ConfigurationError names the log where it does not."""
        self.launch()
        try:
            self._await_answer()
            self.finish()
        except BaseException:
            self.stop()
            raise

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self.wait(POLL_S) is not None or time.monotonic() > deadline:
                log = self.command.log
                raise ConfigurationError(f"{self.name} does not start: {tail(log)} (log: {log})")
