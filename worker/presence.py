"""What this process says of itself in the roster; the parts of the process keep it true, the heart signs it."""

from __future__ import annotations

import logging

from core.errors import MathcodeError
from core.observing.gpus import Gpu, ReadGpus
from core.roster import Roster, Standing, WorkerState
from tasks.ports import Engine
from tasks.queues import QueueName

logger = logging.getLogger(__name__)


class Presence:
    """`engine` is None until it is loaded, and in a process without a model; `card` likewise.

    `alarms` says what an operator should see to, each under the name of the part that noticed it.
    """

    def __init__(self, roster: Roster, *, name: str, queue: QueueName, slots: int, card: str) -> None:
        self._roster = roster
        self._queue = queue
        self._slots = slots
        self._card = card if queue.model is not None else None
        self.name = name
        self.engine: Engine | None = None
        self.state = WorkerState.LOADING if queue.model is not None else WorkerState.SERVING
        self.is_pinned = False
        self.alarms: dict[str, str] = {}
        self.gpus: tuple[Gpu, ...] | None = None

    def engine_broke(self) -> bool:
        return self.engine is not None and not self.engine.alive

    def look_at_gpus(self, read: ReadGpus) -> None:
        """A step of the rounds, since a driver may take its time and the heart may not."""
        self.gpus = read()

    def sign(self) -> None:
        """Raises DatabaseUnavailable."""
        metrics = self.engine.metrics() if self.engine is not None else None
        self._roster.sign(
            name=self.name,
            queue=self._queue.value,
            version=metrics.version if metrics else None,
            slots=self._slots,
            metrics=metrics,
            standing=Standing(
                card=self._card,
                state=self.state,
                is_pinned=self.is_pinned,
                alarm="; ".join(self.alarms.values()) or None,
                gpus=self.gpus,
            ),
        )

    def leave(self) -> None:
        try:
            self._roster.leave(self.name)
        except MathcodeError as error:
            logger.warning("left without signing off: %s", error)
