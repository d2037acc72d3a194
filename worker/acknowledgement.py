"""Messages that outlive their connection must not end the worker.

When Redis goes away, kombu 5.7's channel raises AttributeError while it acknowledges or restores messages, which
Celery takes for an unrecoverable error: a moment without Redis would kill a worker and the answers in it. The
ledger needs neither step: a message delivered again finds nothing to do, a lost one is published again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kombu.transport import redis

logger = logging.getLogger(__name__)


class TolerantQoS(redis.QoS):  # type: ignore[misc]
    """Lets go of messages whose connection is gone."""

    def ack(self, delivery_tag: str) -> None:
        self._attempt(super().ack, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self._attempt(super().reject, delivery_tag, requeue=requeue)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        self._attempt(super().restore_unacked_once, stderr=stderr)

    def _attempt(self, step: Callable[..., None], *arguments: Any, **options: Any) -> None:
        try:
            step(*arguments, **options)
        except AttributeError as error:
            if self.channel.connection is not None and self.channel.connection.client is not None:
                raise  # not the closed connection: a bug that must be seen
            logger.warning("messages outlived their connection and stay with the ledger: %s", error)


def tolerate_lost_connections() -> None:
    """Make this process's Redis channels use `TolerantQoS`."""
    redis.Channel.QoS = TolerantQoS
