"""Logging of every process: one line per event on standard error, never prompt or answer."""

from __future__ import annotations

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# They say twice per message what our own lines say once per completion.
CHATTY = ("celery.app.trace", "celery.worker.strategy", "celery.worker.consumer.gossip")


def configure_logging(level: str) -> None:
    """Set up the root logger of this process."""
    logging.basicConfig(level=level, format=FORMAT)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
