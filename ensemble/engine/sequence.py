"""One request in flight: its limits, its text so far, and the way its pieces take to the caller."""

from __future__ import annotations

import time
from collections.abc import Sequence as Tokens
from queue import SimpleQueue
from typing import Any

from core.messages import Completion, Failure, FailureCode, FinishReason, ModelName
from core.work import Delta, Work
from ensemble.engine.detokenizer import Detokenizer
from ensemble.engine.stops import StopScanner

Event = Delta | Completion | Failure


class Sequence:
    """Written by the loop's thread alone; the caller's thread reads `outbox`.

    `outbox` receives text and then exactly one outcome. `state` belongs to the runner while the sequence runs.
    """

    def __init__(
        self,
        *,
        work: Work,
        prompt: Tokens[int],
        max_tokens: int,
        detokenizer: Detokenizer,
        model: ModelName,
        version: str,
    ) -> None:
        self.work = work
        self.prompt = prompt
        self.outbox: SimpleQueue[Event] = SimpleQueue()
        self.state: Any = None
        self.arrival: int | None = None  # its number, given by the scheduler
        self.is_finished = False
        self.is_abandoned = False
        self.max_tokens = max_tokens
        self._model = model
        self._version = version
        self._detokenizer = detokenizer
        self._stops = StopScanner(work.sampling.stop)
        self._text: list[str] = []
        self._tokens = 0
        self._submitted = time.monotonic()
        self._first_token_s: float | None = None

    def accept(self, token: int, end_tokens: frozenset[int]) -> None:
        """Take the next token: deliver its text, or finish."""
        if self._first_token_s is None:
            self._first_token_s = time.monotonic() - self._submitted
        if token in end_tokens:
            self._complete(FinishReason.STOP)
            return
        self._tokens += 1
        if self._deliver(self._detokenizer.push(token)):
            self._complete_stopped()
        elif self._tokens >= self.max_tokens:
            self._complete(FinishReason.LENGTH)

    def expire(self, now: float) -> None:
        """Finish if the caller cancelled or went away, or if `now` (epoch seconds) is past its deadline."""
        if self.work.cancelled.is_set() or self.is_abandoned:
            self.fail(FailureCode.CANCELLED, "the request was cancelled")
        elif self.work.deadline is not None and now >= self.work.deadline:
            self.fail(FailureCode.EXPIRED, "the deadline passed before the answer was complete")

    def fail(self, code: FailureCode, message: str) -> None:
        """Finish with a failure that keeps the text generated until now."""
        if self.is_finished:
            return
        self._flush()
        text = "".join(self._text)
        self._finish(Failure(model=self._model, code=code, message=message, version=self._version, text=text))

    def _complete(self, reason: FinishReason) -> None:
        """Finish after letting held-back text through, in which a stop string may still be found."""
        self._finish(self._completion(FinishReason.STOP if self._flush() else reason))

    def _complete_stopped(self) -> None:
        self._finish(self._completion(FinishReason.STOP))

    def _flush(self) -> bool:
        is_stopped = self._deliver(self._detokenizer.finish())
        if not is_stopped:
            self._emit(self._stops.finish())
        return is_stopped

    def _deliver(self, text: str) -> bool:
        certain, is_stopped = self._stops.push(text)
        self._emit(certain)
        return is_stopped

    def _emit(self, text: str) -> None:
        if text:
            self._text.append(text)
            self.outbox.put(Delta(text))

    def _finish(self, outcome: Completion | Failure) -> None:
        self.is_finished = True
        self.outbox.put(outcome)

    def _completion(self, reason: FinishReason) -> Completion:
        return Completion(
            model=self._model,
            version=self._version,
            text="".join(self._text),
            finish_reason=reason,
            prompt_tokens=len(self.prompt),
            completion_tokens=self._tokens,
            first_token_s=self._first_token_s,
            seconds=time.monotonic() - self._submitted,
        )
