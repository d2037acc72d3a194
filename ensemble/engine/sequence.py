"""One request in flight: its limits, its text so far, and the way its pieces take to the caller."""

from __future__ import annotations

import time
from collections.abc import Sequence as Tokens
from queue import SimpleQueue
from typing import Any

from core.messages import Completion, Failure, FailureCode, FinishReason, ModelName, TokenLogprob
from core.work import Delta, Work
from ensemble.engine.detokenizer import Detokenizer
from ensemble.engine.logprobs import LogprobRecord
from ensemble.engine.runner import Scored
from ensemble.engine.stops import StopScanner
from ensemble.engine.versions import Version

Event = Delta | Completion | Failure

PIECE_INTERVAL_S = 0.04
"""Least time between two pieces of text: each wakes a thread, and 25 a second read as smoothly as 100."""


class Sequence:
    """Written by the loop's thread alone; the caller's thread reads `outbox`.

    `outbox` receives text and then exactly one outcome. `state` belongs to the runner while the sequence runs;
    `written` are the tokens of its answer, from which a lost state can be made again. `version` is what it would
    be answered with until `has_begun`, and from then on what it is answered with.
    """

    def __init__(
        self,
        *,
        work: Work,
        prompt: Tokens[int],
        max_tokens: int,
        detokenizer: Detokenizer,
        model: ModelName,
        version: Version,
        piece_interval_s: float = PIECE_INTERVAL_S,
        logprobs: LogprobRecord | None = None,
    ) -> None:
        self.work = work
        self.prompt = prompt
        self.written: list[int] = []
        self.version = version
        self.has_begun = False
        self.outbox: SimpleQueue[Event] = SimpleQueue()
        self.state: Any = None
        self.arrival: int | None = None  # its number, given by the scheduler
        self.is_finished = False
        self.is_abandoned = False
        self.max_tokens = max_tokens
        self.first_token_s: float | None = None
        self.model = model
        self._detokenizer = detokenizer
        self._stops = StopScanner(work.sampling.stop)
        self._text: list[str] = []
        self._pending: list[str] = []
        self._length = 0  # of the text before stop strings cut it
        self._logprobs = logprobs
        self._piece_interval_s = piece_interval_s
        self._delivered = 0.0
        self._submitted = self._last_token = time.monotonic()

    @property
    def token_s(self) -> float | None:
        """Mean time between two tokens, None below two."""
        if self.first_token_s is None or len(self.written) < 2:
            return None
        return (self._last_token - self._submitted - self.first_token_s) / (len(self.written) - 1)

    def begin(self, state: Any, version: Version) -> None:
        """It got a slot, for the first time or again."""
        self.state = state
        if not self.has_begun:
            self.has_begun = True
            self.version = version
            version.users += 1

    def end(self) -> None:
        """It needs its version no more."""
        if self.has_begun:
            self.version.users -= 1

    def accept(self, drawn: int | Scored, end_tokens: frozenset[int]) -> None:
        """Take the next token: deliver its text, or finish."""
        self._last_token = now = time.monotonic()
        if self.first_token_s is None:
            self.first_token_s = now - self._submitted
        token = drawn.token if isinstance(drawn, Scored) else drawn
        if token in end_tokens:
            self._complete(FinishReason.STOP)
            return
        self.written.append(token)
        if isinstance(drawn, Scored) and self._logprobs is not None:
            self._logprobs.add(drawn, start=self._length)
        if self._take(self._detokenizer.push(token)):
            self._finish(self._completion(FinishReason.STOP))
        elif len(self.written) >= self.max_tokens:
            self._complete(FinishReason.LENGTH)
        elif self._pending and now - self._delivered >= self._piece_interval_s:
            self._deliver(now)

    def expire(self, now: float) -> None:
        """Finish if the caller cancelled or went away, or if `now` (epoch seconds) is past its deadline."""
        if self.work.cancelled.is_set() or self.is_abandoned:
            self.fail(FailureCode.CANCELLED, "the request was cancelled")
        elif self.work.deadline is not None and now >= self.work.deadline:
            self.fail(FailureCode.EXPIRED, "the deadline passed before the answer was complete")

    def fail(self, code: FailureCode, message: str) -> None:
        """Finish with a failure that keeps the text so far, without half a character or what may begin a stop."""
        if self.is_finished:
            return
        text = "".join(self._text)
        self._finish(Failure(model=self.model, code=code, message=message, version=self.version.name, text=text))

    def _complete(self, reason: FinishReason) -> None:
        """Finish after letting held-back text through, in which a stop string may still be found."""
        self._finish(self._completion(FinishReason.STOP if self._flush() else reason))

    def _flush(self) -> bool:
        is_stopped = self._take(self._detokenizer.finish())
        if not is_stopped:
            self._keep(self._stops.finish())
        return is_stopped

    def _take(self, text: str) -> bool:
        """Keep what is certain of `text`; whether a stop string ended it."""
        self._length += len(text)
        certain, is_stopped = self._stops.push(text)
        self._keep(certain)
        return is_stopped

    def _keep(self, text: str) -> None:
        if text:
            self._text.append(text)
            self._pending.append(text)

    def _deliver(self, now: float) -> None:
        self.outbox.put(Delta("".join(self._pending)))
        self._pending.clear()
        self._delivered = now

    def _finish(self, outcome: Completion | Failure) -> None:
        self.is_finished = True
        if self._pending:
            self._deliver(0.0)
        self.outbox.put(outcome)

    def _scores(self, text: str) -> tuple[TokenLogprob, ...] | None:
        """Of the tokens that a stop string, if one ended the text, left a part of."""
        if self._logprobs is None:
            return None
        is_cut = len(text) < self._length
        return self._logprobs.covering(len(text)) if is_cut else self._logprobs.everything()

    def _completion(self, reason: FinishReason) -> Completion:
        text = "".join(self._text)
        return Completion(
            model=self.model,
            version=self.version.name,
            text=text,
            finish_reason=reason,
            prompt_tokens=len(self.prompt),
            completion_tokens=len(self.written),
            first_token_s=self.first_token_s,
            seconds=time.monotonic() - self._submitted,
            logprobs=self._scores(text),
        )
