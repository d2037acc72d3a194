"""The observatory of one process, with what only the queue knows: its messages."""

from __future__ import annotations

import socket

from core.database import Database
from core.events import EventLog
from core.observing.endings import EndingsCounter
from core.observing.families import Messages
from core.observing.gpus import GpuReader
from core.observing.ledger import LedgerFigures
from core.observing.observatory import Observatory, Scope
from core.roster import Roster
from core.settings import Settings
from tasks.doorbell import Doorbell
from tasks.queues import QueueName


def build_observatory(
    settings: Settings, database: Database, *, events: EventLog, roster: Roster, doorbell: Doorbell, scope: Scope
) -> Observatory:
    """Opens no connection of its own."""

    def read_messages() -> Messages:
        return {
            (queue.value, priority.value): count
            for queue in QueueName
            for priority, count in doorbell.messages(queue).items()
        }

    return Observatory(
        LedgerFigures(database, roster=roster, min_quality_score=settings.min_quality_score),
        endings=EndingsCounter(database),
        scope=scope,
        ping_broker=events.ping,
        read_messages=read_messages,
        read_gpus=GpuReader(settings.visible_devices).read,
        host=socket.gethostname(),
    )


_SERVING = tuple(queue.value for queue in QueueName if queue is not QueueName.TRAINING)

INSTALLATION = Scope(queues=_SERVING, counts_endings=True)
"""Of the API: it answers for all that answers jobs; who trains nothing is well too."""

TRAINER = Scope(queues=(QueueName.TRAINING.value,), counts_endings=False)
