"""What happens to a job as it happens, on a Redis stream; lives beside the ledger and is never the truth.

An event that cannot be written is dropped: whoever follows learns the end from the ledger. Ids are those of the
stream, so a follower resumes after any id it has seen, on any process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from core.circuit import Circuit
from core.errors import BrokerUnavailable
from core.messages import JobState, ModelName

KEPT_S = 24 * 3600
ENDED_KEPT_S = 600
"""Long enough for who follows to come back; later the ledger has the answer. It bounds what Redis holds."""
SOCKET_TIMEOUT_S = 5.0
PAUSE_S = 1.0
BELL_KEPT_S = 60
MOST_READ = 256
"""Entries of one stream read at once."""
FROM_THE_START = "0-0"

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


JobEvent = Piece | Restarted | Done
Entry = tuple[str, JobEvent]
RawEntry = tuple[str, bytes]
_EVENT: TypeAdapter[JobEvent] = TypeAdapter(Annotated[JobEvent, Field(discriminator="event")])


@dataclass(slots=True)
class Bell:
    """Ends one reader's wait early, rung from any thread: a stream of its own, read beside those of jobs."""

    key: str = field(default_factory=lambda: f"mathcode:bell:{uuid4().hex}")
    heard: str = FROM_THE_START


class EventLog:
    """One Redis stream per job, kept for ENDED_KEPT_S after its end and for a day after any other event."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._circuit = Circuit(pause_s=PAUSE_S)

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

    def append(self, job_id: str, *events: JobEvent) -> None:
        """Add events in order; while Redis is away they are dropped, with a warning every PAUSE_S."""
        pipeline = self._redis.pipeline(transaction=False)
        for event in events:
            pipeline.xadd(_key(job_id), {"event": event.model_dump_json()})
        is_over = any(isinstance(event, Done) for event in events)
        pipeline.expire(_key(job_id), ENDED_KEPT_S if is_over else KEPT_S)
        try:
            with self._circuit.attempt() as may_try:
                if may_try:
                    pipeline.execute()
        except RedisError as error:
            logger.warning("events are dropped, Redis is away: %s", error)

    def read(self, job_id: str, *, after: str = FROM_THE_START, block_s: float = 0.0) -> list[Entry]:
        """At most MOST_READ events with an id beyond `after`, waiting up to `block_s` seconds for the first.

        Raises BrokerUnavailable.
        """
        reply = self._xread({_key(job_id): after}, block_s)
        return [(event_id, parse_event(raw)) for _, entries in reply for event_id, raw in _raw(entries)]

    def read_many(self, after: Mapping[str, str], *, bell: Bell, block_s: float) -> Mapping[str, list[RawEntry]]:
        """The same for many jobs (each with the id it is read up to) by one command; unparsed, since much is read
        by one thread. A ring of `bell` ends the wait. Raises BrokerUnavailable.
        """
        found: dict[str, list[RawEntry]] = {}
        streams = {bell.key: bell.heard, **{_key(job_id): event_id for job_id, event_id in after.items()}}
        for key, entries in self._xread(streams, block_s):
            if key.decode() == bell.key:
                bell.heard = entries[-1][0].decode()
            else:
                found[key.decode().removeprefix(_PREFIX)] = list(_raw(entries))
        return found

    def ring(self, bell: Bell) -> None:
        """Have `read_many` return, also where it only begins to wait. Raises BrokerUnavailable."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xadd(bell.key, {"": ""}, maxlen=1)
        pipeline.expire(bell.key, BELL_KEPT_S)
        try:
            pipeline.execute()
        except RedisError as error:
            raise _unavailable(error) from error

    def ends_at(self, job_id: str, event_id: str) -> bool:
        """Whether `event_id` is the job's `Done`. Raises BrokerUnavailable."""
        try:
            entries = self._redis.xrange(_key(job_id), min=event_id, max=event_id, count=1)
        except RedisError as error:
            raise _unavailable(error) from error
        return any(isinstance(parse_event(raw), Done) for _, raw in _raw(entries))

    def _xread(self, streams: dict[Any, Any], block_s: float) -> Any:
        block_ms = max(1, int(min(block_s, SOCKET_TIMEOUT_S / 2) * 1000)) if block_s > 0 else None
        try:
            return self._redis.xread(streams, count=MOST_READ, block=block_ms) or ()
        except RedisError as error:
            raise _unavailable(error) from error

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
            raise _unavailable(error) from error

    def close(self) -> None:
        self._redis.close()


def parse_event(raw: bytes) -> JobEvent:
    return _EVENT.validate_json(raw)


def order_of(event_id: str) -> tuple[int, int]:
    """Ids compare by this: milliseconds, then a number within them."""
    moment, _, number = event_id.partition("-")
    return int(moment), int(number)


_PREFIX = "mathcode:events:"


def _key(job_id: str) -> str:
    return f"{_PREFIX}{job_id}"


def _raw(entries: Any) -> Iterator[RawEntry]:
    for entry_id, fields in entries:
        yield entry_id.decode(), fields[b"event"]


def _unavailable(error: RedisError) -> BrokerUnavailable:
    return BrokerUnavailable(f"Redis does not answer ({error}): try again later")
