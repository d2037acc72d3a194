"""Acknowledging a message whose connection is gone must not end the worker.

Kombu 5.7's Redis channel raises AttributeError when a task that outlived its connection is acknowledged, which
Celery takes for an unrecoverable error: Redis going away for a moment would kill a worker and the answers in it. The
ledger does not need that acknowledgement: a message delivered again finds nothing to do.
"""

from __future__ import annotations

import logging

from kombu.transport import redis

logger = logging.getLogger(__name__)


class TolerantQoS(redis.QoS):  # type: ignore[misc]
    """Lets go of messages that came by a channel which is closed now."""

    def ack(self, delivery_tag: str) -> None:
        if self._is_usable(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if self._is_usable(delivery_tag):
            super().reject(delivery_tag, requeue=requeue)

    def _is_usable(self, delivery_tag: str) -> bool:
        if self.channel.closed:
            logger.info("message %s outlived its connection and stays unacknowledged", delivery_tag)
        return not self.channel.closed


def tolerate_lost_connections() -> None:
    """Make this process's Redis channels use `TolerantQoS`."""
    redis.Channel.QoS = TolerantQoS
