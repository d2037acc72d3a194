"""What happens to a job as it happens, on a Redis stream; lives beside the ledger and is never the truth.

An event that cannot be written is dropped: whoever follows learns the end from the ledger. Ids are those of the
stream, so a follower resumes after any id it has seen, on any process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from core.errors import BrokerUnavailable
from core.messages import JobState, ModelName

KEPT_S = 24 * 3600
SOCKET_TIMEOUT_S = 5.0
PAUSE_S = 1.0

logger = logging.getLogger(__name__)


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Piece(_Event):
    """The next piece of one model's text, as its `attempt` writes it."""

    event: Literal["piece"] = "piece"
    model: ModelName
    attempt: int
    text: str


class Restarted(_Event):
    """This model began again (its worker was lost or stopped): its earlier pieces are void."""

    event: Literal["restarted"] = "restarted"
    model: ModelName
    attempt: int


class Done(_Event):
    """The job is final; always the last event."""

    event: Literal["done"] = "done"
    status: JobState


Event = Annotated[Piece | Restarted | Done, Field(discriminator="event")]
_EVENT: TypeAdapter[Piece | Restarted | Done] = TypeAdapter(Event)


class EventLog:
    """One Redis stream per job, kept for a day after its last event."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._silent_until = 0.0

    @classmethod
    def connect(cls, url: str) -> EventLog:
        """Connections are made when first needed; `url` is a redis:// or rediss:// one."""
        redis = Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=1.0,
            socket_timeout=SOCKET_TIMEOUT_S,
            # Once, for a pooled connection that a restarted server has closed; a timeout may have been executed.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        return cls(redis)

    def append(self, job_id: str, *events: Piece | Restarted | Done) -> None:
        """Add events in order; while Redis is away they are dropped, with a warning every PAUSE_S."""
        if time.monotonic() < self._silent_until:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for event in events:
            pipeline.xadd(_key(job_id), {"event": event.model_dump_json()})
        pipeline.expire(_key(job_id), KEPT_S)
        try:
            pipeline.execute()
        except RedisError as error:
            self._silent_until = time.monotonic() + PAUSE_S
            logger.warning("events are dropped, Redis is away: %s", error)

    def read(
        self, job_id: str, *, after: str = "0-0", block_s: float = 0.0
    ) -> list[tuple[str, Piece | Restarted | Done]]:
        """Events with an id beyond `after`, waiting up to `block_s` seconds for the first. BrokerUnavailable."""
        block_ms = max(1, int(min(block_s, SOCKET_TIMEOUT_S / 2) * 1000)) if block_s > 0 else None
        try:
            reply = self._redis.xread({_key(job_id): after}, block=block_ms)
        except RedisError as error:
            raise BrokerUnavailable(f"Redis does not answer ({error}): try again later") from error
        return list(_entries(reply))

    def forget(self, job_ids: Sequence[str]) -> None:
        """Drop all events of these jobs; while Redis is away they go by themselves, after KEPT_S."""
        if not job_ids:
            return
        try:
            self._redis.unlink(*(_key(job_id) for job_id in job_ids))
        except RedisError as error:
            logger.warning("events of %d deleted jobs go by themselves, Redis is away: %s", len(job_ids), error)

    def ping(self) -> None:
        """Raise BrokerUnavailable unless Redis answers."""
        try:
            self._redis.ping()
        except RedisError as error:
            raise BrokerUnavailable(f"Redis does not answer ({error}): try again later") from error

    def close(self) -> None:
        self._redis.close()


def _key(job_id: str) -> str:
    return f"mathcode:events:{job_id}"


def _entries(reply: Any) -> Iterator[tuple[str, Piece | Restarted | Done]]:
    for _, entries in reply or ():
        for entry_id, fields in entries:
            yield entry_id.decode(), _EVENT.validate_json(fields[b"event"])
