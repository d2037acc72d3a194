"""One thread reads the events of all jobs followed in this process, another asks the ledger of silent ones.

So an open stream costs a waiting thread and no connection, and a job whose events were lost still ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Semaphore, Thread

from api.follower import Follower, Notice
from core.errors import BrokerUnavailable, DatabaseUnavailable
from core.events import Bell, EventLog, RawEntry, order_of
from core.jobs import JobStore
from core.messages import JobState

BLOCK_S = 2.5
SILENCE_S = 2.0
PAUSE_S = 1.0
READING_AT_ONCE = 16

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Followed:
    """One job and who follows it; `position` is the id up to which the reader has read."""

    position: str
    heard_at: float = field(default_factory=time.monotonic)
    followers: set[Follower] = field(default_factory=set)


class Reader:
    """Thread-safe; its threads start with the first follower."""

    def __init__(self, *, events: EventLog, jobs: JobStore) -> None:
        self._turns = Semaphore(READING_AT_ONCE)
        self._events = events
        self._jobs = jobs
        self._lock = Lock()
        self._followed: dict[str, _Followed] = {}
        self._bell = Bell()
        self._is_waiting = False
        self._is_started = False
        self._is_needed = Event()
        self._stopping = Event()

    @property
    def turns(self) -> Semaphore:
        return self._turns

    def follower(self, job_id: str) -> Follower:
        """Of that job, from its start. Raises JobNotFound."""
        try:
            state = self._jobs.state(job_id)
        except DatabaseUnavailable:
            state = JobState.QUEUED
        return Follower(job_id, reader=self, events=self._events, ended=state if state.is_final else None)

    def join(self, follower: Follower) -> bool:
        with self._lock:
            if self._stopping.is_set():
                follower.tell(Notice.STOPPED)
                return False
            self._start()
            followed = self._followed.get(follower.job_id)
            is_new = followed is None
            if followed is None:
                followed = self._followed[follower.job_id] = _Followed(follower.position)
            followed.followers.add(follower)
            is_behind = order_of(followed.position) > order_of(follower.position)
            must_ring, self._is_waiting = is_new and self._is_waiting, self._is_waiting and not is_new
            self._is_needed.set()
        if must_ring:
            self._ring()
        return is_behind

    def leave(self, follower: Follower) -> None:
        with self._lock:
            followed = self._followed.get(follower.job_id)
            if followed is not None:
                followed.followers.discard(follower)
                if not followed.followers:
                    del self._followed[follower.job_id]

    def close(self) -> None:
        """End all streams, now and later: their clients go on at another process."""
        self._stopping.set()
        self._is_needed.set()
        for follower in self._all():
            follower.tell(Notice.STOPPED)

    def _all(self) -> list[Follower]:
        with self._lock:
            return [follower for followed in self._followed.values() for follower in followed.followers]

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            Thread(target=self._read, name="event-reader", daemon=True).start()
            Thread(target=self._watch, name="ledger-watch", daemon=True).start()

    def _ring(self) -> None:
        try:
            self._events.ring(self._bell)
        except BrokerUnavailable as error:
            logger.warning("the event reader is not woken: %s", error)

    def _read(self) -> None:
        while not self._stopping.is_set():
            self._is_needed.wait()
            positions = self._positions()
            try:
                if positions:
                    self._hand_out(self._events.read_many(positions, bell=self._bell, block_s=BLOCK_S))
            except BrokerUnavailable as error:
                logger.warning("no events for now: %s", error)
                self._stopping.wait(PAUSE_S)
            except Exception:  # whatever one stream holds, the others are read
                logger.exception("events were not handed out")
                self._stopping.wait(PAUSE_S)

    def _positions(self) -> dict[str, str]:
        """What to read; whoever joins after this rings."""
        with self._lock:
            self._is_waiting = bool(self._followed)
            if not self._followed and not self._stopping.is_set():
                self._is_needed.clear()
            return {job_id: followed.position for job_id, followed in self._followed.items()}

    def _hand_out(self, found: Mapping[str, list[RawEntry]]) -> None:
        now = time.monotonic()
        with self._lock:
            for job_id, entries in found.items():
                followed = self._followed.get(job_id)
                if followed is None:
                    continue
                followed.position, followed.heard_at = entries[-1][0], now
                lagging = {follower for follower in followed.followers if not follower.offer(entries)}
                followed.followers -= lagging
                if not followed.followers:
                    del self._followed[job_id]

    def _watch(self) -> None:
        while not self._stopping.wait(SILENCE_S):
            silent = self._silent()
            try:
                states = self._jobs.final_states(silent) if silent else {}
            except DatabaseUnavailable:
                continue
            except Exception:
                logger.exception("the ledger was not asked")
                continue
            for job_id, state in states.items():
                self._end(job_id, state)

    def _silent(self) -> list[str]:
        before = time.monotonic() - SILENCE_S
        with self._lock:
            return [job_id for job_id, followed in self._followed.items() if followed.heard_at <= before]

    def _end(self, job_id: str, state: JobState) -> None:
        with self._lock:
            followed = self._followed.pop(job_id, None)
        for follower in followed.followers if followed else ():
            follower.tell(state)
