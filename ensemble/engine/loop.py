"""What an engine's thread does in every iteration: expire, admit, step, deliver. Knows no tensors, no threads."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence as Several
from typing import Any, Generic

from core.errors import EngineUnavailable
from core.messages import FailureCode
from core.metrics import EngineMetrics
from ensemble.engine.meter import Meter
from ensemble.engine.runner import OutOfMemory, Result, Runner, Scored, State
from ensemble.engine.scheduler import Scheduler
from ensemble.engine.sequence import Sequence
from ensemble.engine.versions import Version, Versions

log = logging.getLogger(__name__)


class Loop(Generic[State]):
    """Requests join and leave at every iteration; one that loses its slot goes on from what it has written."""

    def __init__(
        self, runner: Runner[State], *, slots: int, end_tokens: frozenset[int], base_version: str
    ) -> None:
        self._runner = runner
        self._slots = slots
        self._end_tokens = end_tokens
        self._scheduler = Scheduler(slots)
        self._versions = Versions(base_version)
        self._meter = Meter()
        self._is_asleep = False

    @property
    def current(self) -> Version:
        """What new requests are answered with."""
        return self._versions.current

    @property
    def running(self) -> int:
        return len(self._scheduler.running)

    @property
    def waiting(self) -> int:
        return len(self._scheduler.waiting)

    @property
    def has_to_do(self) -> bool:
        return not self._is_asleep and bool(self._scheduler.running or self._scheduler.waiting)

    def metrics(self, *, arrivals: int) -> EngineMetrics:
        """A snapshot, also from another thread; `arrivals` wait to be enqueued."""
        meter = self._meter
        first_token_s, token_s = meter.histograms()
        return EngineMetrics(
            version=self.current.name,
            versions=self._versions.names,
            is_asleep=self._is_asleep,
            running=self.running,
            waiting=self.waiting + arrivals,
            free_slots=self._slots - self.running,
            tokens=meter.tokens,
            tokens_per_s=meter.tokens_per_s(),
            preemptions=meter.preemptions,
            first_token_p50_s=meter.first_token_s(0.5),
            first_token_p95_s=meter.first_token_s(0.95),
            token_p50_s=meter.token_s(0.5),
            token_p95_s=meter.token_s(0.95),
            first_token_s=first_token_s,
            token_s=token_s,
            memory_bytes=self._runner.memory_bytes,
            memory_used_bytes=self._runner.memory_used_bytes,
        )

    def everyone(self) -> list[Sequence]:
        return self._scheduler.everyone()

    def enqueue(self, sequence: Sequence) -> None:
        self._scheduler.enqueue(sequence)

    def iterate(self) -> None:
        """One step for everybody that has a slot."""
        now = time.time()
        for sequence in self._scheduler.everyone():
            sequence.expire(now)
            self._refuse_unserved(sequence)
        self._retire()
        if not self._is_asleep:
            self._scheduler.admit(self._takes_in)
            self._step()
            self._retire()

    def fall_asleep(self) -> None:
        """Give the device's memory back; those that run wait again."""
        if self._is_asleep:
            return
        self._let_go(self._scheduler.put_back())
        self._runner.sleep()
        self._is_asleep = True

    def wake_up(self) -> None:
        """Raises EngineUnavailable, and sleeps on, where memory is lacking."""
        if not self._is_asleep:
            return
        self._versions.keep_needed()
        try:
            self._runner.wake(self._versions.needed())
        except OutOfMemory as error:
            raise EngineUnavailable(f"{error}: free some of it and try again") from None
        self._is_asleep = False

    def serve(self, name: str, adapter: Any) -> None:
        """Answer new requests with `adapter`. Raises EngineUnavailable where every place is still in use."""
        place = self._versions.free_place()
        if place is None:
            raise EngineUnavailable("requests on an earlier version are still running: try again later")
        self._versions.vacate(place)
        self._runner.place_adapter(place, adapter)
        self._versions.serve(name, place)

    def serve_base(self) -> None:
        """Answer new requests without an adapter."""
        self._versions.serve_base()

    def _takes_in(self, sequence: Sequence) -> bool:
        version = self._version_for(sequence)
        if version is None:
            return False
        state = self._runner.admit(
            sequence.prompt,
            sequence.work.sampling,
            max_tokens=sequence.max_tokens,
            written=sequence.written,
            place=version.place,
        )
        if state is None:
            return False
        sequence.begin(state, version)
        return True

    def _version_for(self, sequence: Sequence) -> Version | None:
        """The one it began with, or would begin with now; None if it asks for one that is not here."""
        if sequence.has_begun:
            return sequence.version
        asked = sequence.work.version
        return self._versions.current if asked is None else self._versions.named(asked)

    def _refuse_unserved(self, sequence: Sequence) -> None:
        if self._version_for(sequence) is None:
            message = f"this worker does not serve {sequence.work.version} any more: ask for a version it serves"
            sequence.fail(FailureCode.VERSION_NOT_SERVED, message)

    def _step(self) -> None:
        batch = self._scheduler.running
        if not batch:
            return
        try:
            self._take(batch, self._runner.step([sequence.state for sequence in batch]))
        except OutOfMemory as error:
            log.warning("%s; half of the requests wait", error)
            self._take(batch, error.results)
            self._preempt(of=len(batch))

    def _take(self, batch: Several[Sequence], results: Several[Result]) -> None:
        count = 0
        for sequence, result in zip(batch, results, strict=True):
            if isinstance(result, int | Scored):
                sequence.accept(result, self._end_tokens)
                count += 1
            elif result is not None:
                log.error("a request of %s failed", sequence.model, exc_info=result)
                sequence.fail(FailureCode.ENGINE_FAILED, f"the model could not continue this text: {result}")
        self._meter.count_tokens(count)

    def _retire(self) -> None:
        retired = self._scheduler.retire()
        self._let_go(retired)
        for sequence in retired:
            sequence.end()
            self._meter.note_request(first_token_s=sequence.first_token_s, token_s=sequence.token_s)

    def _let_go(self, sequences: Several[Sequence]) -> None:
        for sequence in sequences:
            if sequence.state is not None:
                self._runner.release(sequence.state)
                sequence.state = None

    def _preempt(self, *, of: int) -> None:
        """Make room: the state of all `of` that ran is void, and the older half begins again at once."""
        self._retire()
        if of == 1 and self.running:
            alone = self._scheduler.running[0]
            alone.fail(FailureCode.ENGINE_FAILED, "the device has too little memory for this request, even alone")
            self._retire()
        preempted = self._scheduler.preempt(limit=of // 2)
        self._meter.count_preemptions(len(preempted))
        self._let_go(preempted)
