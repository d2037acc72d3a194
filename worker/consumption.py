"""Whether this process takes messages from its queue, as far as somebody here has decided that."""

from __future__ import annotations

import logging

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


class Consumption:
    """Stops and resumes by Celery's own commands to this node, repeated until the consumer has obeyed.

    The consumer keeps what it was told over a lost connection. Once it has resumed, an operator may decide
    otherwise: nothing here interferes.
    """

    def __init__(self, app: Celery, *, queue: str, node: str) -> None:
        self._app = app
        self._queue = queue
        self._node = node
        self._wanted: bool | None = None

    def stop(self) -> None:
        self._wanted = False
        self.settle()

    def resume(self) -> None:
        if self._wanted is not None:
            self._wanted = True
            self.settle()

    def settle(self) -> None:
        """Ask again where the consumer does not do what was decided."""
        if self._wanted is None:
            return
        if self._wanted == (self._queue in self._app.amqp.queues.consume_from):
            self._wanted = self._wanted and None  # what was stopped is watched, what has resumed is not
            return
        control = self._app.control
        ask = control.add_consumer if self._wanted else control.cancel_consumer
        try:
            ask(self._queue, destination=[self._node])
        except (OperationalError, RedisError) as error:
            logger.warning("Redis is away, the consumer is asked again: %s", error)
