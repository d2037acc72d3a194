"""One loaded model for many threads: what they may ask, and the thread that does it. Knows no tensors."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition, Thread
from typing import Generic

from core.errors import ConfigurationError, EngineUnavailable, InvalidRequest, PromptTooLong
from core.messages import Failure, FailureCode, ModelName, is_bare_text
from core.metrics import EngineMetrics
from core.work import Delta, Work
from ensemble.engine.commands import Commands
from ensemble.engine.logprobs import LogprobRecord
from ensemble.engine.loop import Loop
from ensemble.engine.runner import Runner, State, Vocabulary
from ensemble.engine.sequence import PIECE_INTERVAL_S, Event, Sequence
from ensemble.models import ModelSpec

CLOSE_TIMEOUT_S = 30.0
ASLEEP_POLL_S = 0.05  # how late a request that waits for a sleeping engine may expire

log = logging.getLogger(__name__)


class ModelEngine(Generic[State]):
    """One loaded model answering many requests at once on a thread of its own, started by the constructor.

    Callers beyond `slots` wait by priority and arrival. Text comes in pieces at least `piece_interval_s` apart. An
    engine whose thread dies fails all its requests, and `alive` turns false: its process should end.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        vocabulary: Vocabulary,
        runner: Runner[State],
        slots: int,
        default_max_tokens: int,
        piece_interval_s: float = PIECE_INTERVAL_S,
    ) -> None:
        self._spec = spec
        self._vocabulary = vocabulary
        self._default_max_tokens = default_max_tokens
        self._piece_interval_s = piece_interval_s
        self._runner = runner
        self._loop = Loop(runner, slots=slots, end_tokens=vocabulary.end_tokens, base_version=spec.version)
        self._commands = Commands()
        self._changed = Condition()
        self._arrivals: list[Sequence] = []
        self._is_closing = False
        self._is_serving = True
        self._thread = Thread(target=self._run, name=f"engine-{spec.model}", daemon=True)
        self._thread.start()
        # A thread inside torch while the interpreter goes down would abort the process.
        atexit.register(self.close)

    @property
    def model(self) -> ModelName:
        return self._spec.model

    @property
    def version(self) -> str:
        """The exact weights that new requests get; every completion names those it got."""
        return self._loop.current.name

    @property
    def context_tokens(self) -> int:
        """Most tokens of prompt plus answer."""
        return self._spec.context_tokens

    @property
    def alive(self) -> bool:
        """Whether requests are still served; false after `close` and when the loop has died."""
        return self._is_serving and not self._is_closing

    @property
    def running(self) -> int:
        """How many requests hold a slot."""
        return self._loop.running

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return len(self._arrivals) + self._loop.waiting

    def metrics(self) -> EngineMetrics:
        """How it is doing, seen from any thread."""
        return self._loop.metrics(arrivals=len(self._arrivals))

    def generate(self, work: Work) -> Iterator[Event]:
        """Yield text as it appears, then exactly one outcome; closing the iterator early cancels the work."""
        try:
            sequence = self._sequence(work)
        except PromptTooLong as error:
            yield Failure(model=self.model, code=FailureCode.PROMPT_TOO_LONG, message=str(error))
            return
        except InvalidRequest as error:
            yield Failure(model=self.model, code=FailureCode.ENGINE_FAILED, message=str(error))
            return
        try:
            self._submit(sequence)
            event: Event = Delta("")
            while isinstance(event, Delta):
                event = sequence.outbox.get()
                yield event
        finally:
            sequence.is_abandoned = True

    def sleep(self) -> None:
        """Give the device's memory back; returns when it is free. Asleep already, it does nothing.

        Requests wait. Those that ran keep their text, and after `wake` go on where they were.
        """
        self._ask(self._loop.fall_asleep)

    def wake(self) -> None:
        """Return to service. Raises EngineUnavailable, and sleeps on, where there is not memory enough."""
        self._ask(self._loop.wake_up)

    def swap_adapter(self, version: str | None, directory: Path | None) -> None:
        """Answer new requests with the adapter in `directory` as `version`, or (None, None) with the model alone.

        Requests end on the version they began with. They pause while it is copied, some milliseconds, or seconds
        for the first adapter and for one of a larger rank than any before, which change what graphs compute.

        Raises:
            ConfigurationError: the adapter is damaged or not for this model; the version in service stays.
            EngineUnavailable: requests on the version before the last are still running; try again later.
        """
        if version is None and directory is None:
            self._ask(self._loop.serve_base)
            return
        if version is None or directory is None:
            raise ConfigurationError("a version and a directory belong together: give both, or neither")
        adapter = self._runner.load_adapter(directory)
        self._ask(lambda: self._loop.serve(version, adapter))

    def close(self) -> None:
        """Stop; running and waiting work ends with a `Failure`. Idempotent; waits CLOSE_TIMEOUT_S at most."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        if not self._thread.is_alive():
            atexit.unregister(self.close)

    def _sequence(self, work: Work) -> Sequence:
        prompt = self._vocabulary.encode(work.messages)
        return Sequence(
            work=work,
            prompt=prompt,
            max_tokens=self._spec.answer_tokens(
                prompt_tokens=len(prompt), requested=work.sampling.max_tokens, default=self._default_max_tokens
            ),
            detokenizer=self._vocabulary.detokenizer(continues=is_bare_text(work.messages)),
            model=self.model,
            version=self._loop.current,
            piece_interval_s=self._piece_interval_s,
            logprobs=LogprobRecord(self._vocabulary.spell) if work.sampling.logprobs is not None else None,
        )

    def _submit(self, sequence: Sequence) -> None:
        with self._changed:
            if self.alive:
                self._arrivals.append(sequence)
                self._changed.notify()
                return
        sequence.fail(FailureCode.ENGINE_FAILED, "the engine is closed")

    def _ask(self, action: Callable[[], None]) -> None:
        """Have the loop do something, and wait for it."""
        with self._changed:
            if not self.alive:
                raise EngineUnavailable(f"the engine of {self.model} is closed")
            done = self._commands.ask(action)
            self._changed.notify()
        done.result()

    def _run(self) -> None:
        reason = "the engine failed and takes no more requests"
        try:
            while self._collect():
                self._commands.obey()
                self._loop.iterate()
            reason = "the engine was closed before the answer was complete"
        except Exception:  # whatever it was, nobody may wait for a thread that has ended
            log.exception("the engine of %s died", self.model)
        finally:
            self._fail_everyone(reason)

    def _collect(self) -> bool:
        """Wait until there is something to do and take in what arrived; false when closing."""
        with self._changed:
            self._changed.wait_for(self._has_to_do, ASLEEP_POLL_S if self._loop.waiting else None)
            arrivals, self._arrivals = self._arrivals, []
            for sequence in arrivals:
                self._loop.enqueue(sequence)
            return not self._is_closing

    def _has_to_do(self) -> bool:
        return self._is_closing or self._loop.has_to_do or bool(self._arrivals or self._commands)

    def _fail_everyone(self, reason: str) -> None:
        with self._changed:
            self._is_serving = False
            left = [*self._loop.everyone(), *self._arrivals]
            self._arrivals.clear()
        self._commands.refuse(EngineUnavailable(reason))
        for sequence in left:
            sequence.fail(FailureCode.ENGINE_FAILED, reason)
