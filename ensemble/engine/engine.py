"""The loop: expire, admit, step, deliver; requests join and leave at every step. Knows no tensors."""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Thread
from typing import Generic

from core.errors import ConfigurationError, InvalidRequest, PromptTooLong
from core.messages import Failure, FailureCode, ModelName
from core.metrics import EngineMetrics
from core.work import Delta, Work
from ensemble.engine.runner import Runner, State, Vocabulary
from ensemble.engine.scheduler import Scheduler
from ensemble.engine.sequence import Event, Sequence
from ensemble.models import ModelSpec

CLOSE_TIMEOUT_S = 30.0

log = logging.getLogger(__name__)


class ModelEngine(Generic[State]):
    """One loaded model answering many requests at once on a thread of its own, started by the constructor.

    Callers beyond `slots` wait by priority and arrival. An engine whose thread dies fails all its requests, and
    `alive` turns false: its process should end.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        vocabulary: Vocabulary,
        runner: Runner[State],
        slots: int,
        default_max_tokens: int,
    ) -> None:
        self._spec = spec
        self._vocabulary = vocabulary
        self._runner = runner
        self._default_max_tokens = default_max_tokens
        self._scheduler = Scheduler(slots)
        self._changed = Condition()
        self._arrivals: list[Sequence] = []
        self._is_closing = False
        self._is_asleep = False
        self._slots = slots
        self._tokens = 0
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
        """The exact weights in service, as every completion names them."""
        return self._spec.version

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
        return len(self._scheduler.running)

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return len(self._arrivals) + len(self._scheduler.waiting)

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

    def metrics(self) -> EngineMetrics:
        return EngineMetrics(
            version=self.version,
            is_asleep=self._is_asleep,
            running=self.running,
            waiting=self.waiting,
            free_slots=max(0, self._slots - self.running),
            tokens=self._tokens,
            tokens_per_s=0.0,
            preemptions=0,
            first_token_p50_s=None,
            first_token_p95_s=None,
            token_p50_s=None,
            token_p95_s=None,
            memory_bytes=0,
            memory_used_bytes=0,
        )

    def sleep(self) -> None:
        self._is_asleep = True

    def wake(self) -> None:
        with self._changed:
            self._is_asleep = False
            self._changed.notify()

    def swap_adapter(self, version: str | None, directory: Path | None) -> None:
        if directory is not None:
            raise ConfigurationError(f"{directory} cannot be served: adapters are not there yet")

    def close(self) -> None:
        """Stop; running and waiting work ends with a `Failure`. Idempotent; waits CLOSE_TIMEOUT_S at most."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        atexit.unregister(self.close)

    def _sequence(self, work: Work) -> Sequence:
        prompt = self._vocabulary.encode(work.messages)
        return Sequence(
            work=work,
            prompt=prompt,
            max_tokens=self._spec.answer_tokens(
                prompt_tokens=len(prompt), requested=work.sampling.max_tokens, default=self._default_max_tokens
            ),
            detokenizer=self._vocabulary.detokenizer(),
            model=self.model,
            version=self.version,
        )

    def _submit(self, sequence: Sequence) -> None:
        with self._changed:
            if self.alive:
                self._arrivals.append(sequence)
                self._changed.notify()
                return
        sequence.fail(FailureCode.ENGINE_FAILED, "the engine is closed")

    def _run(self) -> None:
        reason = "the engine failed and takes no more requests"
        try:
            while self._collect():
                self._iterate()
            reason = "the engine was closed before the answer was complete"
        except Exception:
            log.exception("the engine of %s died", self.model)
        finally:
            self._fail_everyone(reason)

    def _collect(self) -> bool:
        """Wait until there is something to do and take in what arrived; false when closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or self._arrivals or self._scheduler.everyone())
            for sequence in self._arrivals:
                self._scheduler.enqueue(sequence)
            self._arrivals.clear()
            return not self._is_closing

    def _iterate(self) -> None:
        now = time.time()
        for sequence in self._scheduler.everyone():
            sequence.expire(now)
        self._retire()
        if self._is_asleep:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closing or not self._is_asleep, timeout=0.02)
            return
        self._scheduler.admit(self._takes_in)
        self._step()
        self._retire()

    def _takes_in(self, sequence: Sequence) -> bool:
        state = self._runner.admit(sequence.prompt, sequence.work.sampling, max_tokens=sequence.max_tokens)
        sequence.state = state
        return state is not None

    def _step(self) -> None:
        batch = self._scheduler.running
        tokens = self._runner.step([sequence.state for sequence in batch]) if batch else ()
        for sequence, token in zip(batch, tokens, strict=True):
            if isinstance(token, Exception):
                log.error("a request of %s failed", self.model, exc_info=token)
                sequence.fail(FailureCode.ENGINE_FAILED, f"the model could not continue this text: {token}")
            elif token is not None:
                self._tokens += 1
                sequence.accept(token, self._vocabulary.end_tokens)

    def _retire(self) -> None:
        for sequence in self._scheduler.retire():
            self._runner.release(sequence.state)

    def _fail_everyone(self, reason: str) -> None:
        with self._changed:
            self._is_serving = False
            left = [*self._scheduler.everyone(), *self._arrivals]
            self._arrivals.clear()
        for sequence in left:
            sequence.fail(FailureCode.ENGINE_FAILED, reason)
