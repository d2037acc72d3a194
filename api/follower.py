"""One client's way through the events of one job.

A follower reads what lies behind by itself and then joins the reader of its process (`api.reader`), which hands it
every further event. Its inbox is bounded: one that lags is sent back to reading for itself, so a slow client costs
the others nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import Enum, auto
from queue import Empty, SimpleQueue
from threading import Event as Pause
from typing import Protocol

from core.errors import BrokerUnavailable
from core.events import FROM_THE_START, MOST_READ, Done, Entry, EventLog, JobEvent, RawEntry, order_of, parse_event
from core.messages import JobState

LAST_EVENT_S = 0.25
"""The ledger is written first: once it says that a job has ended, its last event may still be on its way."""
INBOX = 256
"""Most events that wait for one follower; what the reader brings at once for one job fits."""


class Notice(Enum):
    """What a follower is told beside events."""

    WOKEN = auto()  # its client may be gone
    LAGGED = auto()  # it is handed nothing more and shall read for itself
    STOPPED = auto()  # this process is stopping


class Source(Protocol):
    """Who hands over what happens from now on."""

    @property
    def turns(self) -> AbstractContextManager[object]:
        """Held while a follower reads for itself: bounds the connections to Redis."""

    def join(self, follower: Follower) -> bool:
        """Hand it every event beyond its position; True where some were read before, which it reads for itself."""

    def leave(self, follower: Follower) -> None:
        """Idempotent."""


class Follower:
    """`ended` is the state of a job that has ended before; `position` the id of the last event yielded."""

    def __init__(self, job_id: str, *, reader: Source, events: EventLog, ended: JobState | None) -> None:
        self.job_id = job_id
        self.position = FROM_THE_START
        self._reader = reader
        self._events = events
        self._ended = ended
        self._is_stopped = False
        self._inbox: SimpleQueue[RawEntry | Notice | JobState] = SimpleQueue()

    def offer(self, entries: list[RawEntry]) -> bool:
        """Take events from the reader; False, and nothing more is taken, where too many wait already."""
        if self._inbox.qsize() + len(entries) > INBOX:
            self._inbox.put(Notice.LAGGED)
            return False
        for entry in entries:
            self._inbox.put(entry)
        return True

    def tell(self, what: Notice | JobState) -> None:
        self._inbox.put(what)

    def wake(self) -> None:
        """Have `entries` yield None at once."""
        self.tell(Notice.WOKEN)

    def entries(self, *, keep_alive_s: float) -> Iterator[tuple[str | None, JobEvent] | None]:
        """(id, event) from the start, None after each silence; ends when the job has, or this process stops.

        The last one is a `Done`, without an id where only the ledger knew.
        """
        while not self._is_stopped:
            yield from self._catch_up()
            if self._ended:
                Pause().wait(LAST_EVENT_S)
                yield from self._catch_up()
                yield None, Done(status=self._ended)
                return
            try:
                if self._reader.join(self):
                    yield from self._catch_up()
                yield from self._live(keep_alive_s)
            finally:
                self._reader.leave(self)

    def _catch_up(self) -> Iterator[Entry]:
        """What lies behind; nothing while Redis is away."""
        count = MOST_READ
        while count == MOST_READ:
            try:
                with self._reader.turns:
                    found = self._events.read(self.job_id, after=self.position)
            except BrokerUnavailable:
                return
            count = len(found)
            for event_id, event in found:
                self.position = event_id
                yield event_id, event

    def _live(self, keep_alive_s: float) -> Iterator[tuple[str, JobEvent] | None]:
        """What the reader hands over, until it tells of something else."""
        while True:
            try:
                item = self._inbox.get(timeout=keep_alive_s)
            except Empty:
                item = Notice.WOKEN
            if item is Notice.WOKEN:
                yield None
            elif isinstance(item, tuple):
                event_id, raw = item
                if order_of(event_id) > order_of(self.position):
                    self.position = event_id
                    yield event_id, parse_event(raw)
            else:
                self._is_stopped = item is Notice.STOPPED
                self._ended = item if isinstance(item, JobState) else None
                return
