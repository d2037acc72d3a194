"""Publishing: tell the workers that the ledger has something for them.

A message carries only ids and says nothing that the ledger does not say; one that is lost is published again by
the reconciler, one too many finds nothing to do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from celery import Celery, Signature, chord
from celery.exceptions import CeleryError
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from core.circuit import Circuit
from core.errors import BrokerUnavailable
from core.messages import ModelName, Priority
from tasks.queues import STEPS, QueueName

GENERATE = "mathcode.generate"
MERGE = "mathcode.merge"
TRAIN = "mathcode.train"
BATCHES = "mathcode.batches"
CANCEL = "cancel_job"

# After a failure publishing pauses this long, then one caller tries: a dead broker costs one timeout, not many.
PAUSE_S = 1.0

logger = logging.getLogger(__name__)


class Doorbell:
    """The one place that puts messages on the queues. Never raises for a broker that is away."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        _ = app.amqp.producer_pool  # made here: two threads that both came first would spoil its size
        self._circuit = Circuit(pause_s=PAUSE_S)

    def announce(self, job_id: str, models: Sequence[ModelName], priority: Priority) -> bool:
        """Announce completions that can begin, several as a chord that merges them; False if Redis is away."""
        generations = [self._generate(job_id, model, priority) for model in models]
        message = generations[0] if len(generations) == 1 else chord(generations, self._merge(job_id, priority))
        return self._publish(message)

    def announce_merge(self, job_id: str, priority: Priority) -> bool:
        return self._publish(self._merge(job_id, priority))

    def announce_training(self, run_id: int) -> bool:
        options = _options(Priority.NORMAL)
        return self._publish(self._app.signature(TRAIN, args=(run_id,), queue=QueueName.TRAINING.value, **options))

    def announce_batches(self) -> bool:
        """Have the light worker look at batches now; it looks at intervals anyway."""
        options = _options(Priority.NORMAL)
        return self._publish(self._app.signature(BATCHES, queue=QueueName.LIGHT.value, **options))

    def announce_cancel(self, job_id: str) -> None:
        """Tell running workers at once; those that miss it see the flag at their next heartbeat."""
        try:
            self._app.control.broadcast(CANCEL, arguments={"job_id": job_id})
        except (OperationalError, RedisError) as error:
            logger.warning("cancelling job %s waits for the next heartbeat, Redis is away: %s", job_id, error)

    def messages(self, queue: QueueName) -> Mapping[Priority, int]:
        """How many messages of each priority stand in `queue`. Raises BrokerUnavailable."""
        try:
            with self._app.connection_for_read() as connection, connection.channel() as channel:
                lists = {priority: channel._q_for_pri(queue.value, step) for priority, step in STEPS.items()}
                return {priority: int(channel.client.llen(key)) for priority, key in lists.items()}
        except (OperationalError, RedisError) as error:
            raise BrokerUnavailable(f"Redis does not answer ({error}): try again later") from error

    def _generate(self, job_id: str, model: ModelName, priority: Priority) -> Signature:
        return self._app.signature(GENERATE, args=(job_id, model.value), queue=model.value, **_options(priority))

    def _merge(self, job_id: str, priority: Priority) -> Signature:
        return self._app.signature(MERGE, args=(job_id,), queue=QueueName.LIGHT.value, **_options(priority))

    def _publish(self, message: Signature) -> bool:
        try:
            with self._circuit.attempt() as may_try:
                if may_try:
                    message.apply_async(retry=False)
                return may_try
        except (OperationalError, RedisError, CeleryError) as error:
            logger.warning("not announced now, the reconciler will do it: %s", error)
            return False


def _options(priority: Priority) -> dict[str, object]:
    return {"priority": STEPS[priority], "immutable": True, "ignore_result": True}
