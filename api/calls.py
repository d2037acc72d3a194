"""One call of OpenAI's dialect while it is answered: its jobs submitted, waited for or streamed, cancelled."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from threading import Event as Pause
from typing import Any

from api import streaming
from api.errors import status_of
from api.following import Event, Followed, follow_all
from api.formats.events import KEEP_ALIVE
from api.services import Services
from api.submitting import read_once, read_wait, submit
from core.dialects.openai import Call, CallFailure, error_body, failure_of
from core.dialects.openai_chunks import Chunks, SentText
from core.errors import DatabaseUnavailable, MathcodeError, StreamBroken
from core.events import Done, Piece
from core.jobs import Job
from core.jsonl import one_line
from core.messages import TaskType
from tasks.submit import Submitted

LEDGER_PAUSE_S = 0.5
LEDGER_TRIES = 60

logger = logging.getLogger(__name__)

_DIVERGED = "a worker was lost and the text that was begun again is another one: ask again"


@dataclass(frozen=True, slots=True)
class Client:
    """Who waits: `on_disconnect` as `streaming.follow` takes it."""

    is_gone: Callable[[], bool]
    on_disconnect: streaming.OnDisconnect | None


class LiveCall:
    """What was `submitted`, a job for each choice. `close` cancels those that have not ended, unless `is_kept`.

    Waiting and streaming end when the client is gone, and the rest is left to `close`.
    """

    def __init__(
        self, call: Call, submitted: Sequence[Submitted], services: Services, *, client: Client, is_kept: bool
    ) -> None:
        jobs = [one.job for one in submitted]
        self.is_replayed = all(one.is_replayed for one in submitted)
        self._call = call
        self._client = client
        self._jobs = jobs
        self._services = services
        self._open = set() if is_kept else {job.id for job in jobs}
        prefix = "chatcmpl-" if call.is_chat else "cmpl-"
        self.id = prefix + jobs[0].id.replace("-", "")
        self._chunks = Chunks(
            id=self.id,
            created=int(jobs[0].created_at.timestamp()),
            model=call.model,
            n=call.n,
            is_chat=call.is_chat,
        )

    def wait(self, *, patience_s: float) -> list[Job] | CallFailure:
        """The ended jobs, or why there are none to give.

        Beyond `patience_s` seconds the jobs go on, and their answers are to be fetched.
        """
        until, ended = time.monotonic() + patience_s, list[Job]()
        for job in self._jobs:
            for _ in self._follow(job.id):
                if self._client.is_gone():
                    return _gone()
                if time.monotonic() > until:
                    return self._still_running(patience_s)
            ended.append(self._read_ended(job.id))
            if failure := failure_of(ended[-1]):
                return failure
        return ended

    def stream(self) -> Iterator[str] | CallFailure:
        """The response as server-sent events, or the failure that came before anything else."""
        events = follow_all([job.id for job in self._jobs], self._follow)
        first = next(events, None)
        if first and isinstance(first[1], Done) and (failure := failure_of(self._read_ended(self._id(first)))):
            return failure
        return self._guarded(chain([first], events))

    def close(self) -> None:
        """Cancel what has not ended; idempotent, never raises."""
        while self._open:
            job_id = self._open.pop()
            try:
                self._services.submitter.cancel(job_id)
            except MathcodeError as error:
                logger.warning("job %s, for which nobody waits, is not cancelled: %s", job_id, error)

    def _follow(self, job_id: str) -> Followed:
        s = self._services
        keep_alive_s = min(s.settings.keep_alive_s, s.settings.call_wait_s)
        return streaming.follow(
            job_id, reader=s.reader, keep_alive_s=keep_alive_s, on_disconnect=self._client.on_disconnect
        )

    def _id(self, item: tuple[int, Event]) -> str:
        return self._jobs[item[0]].id

    def _read_ended(self, job_id: str) -> Job:
        """The job, which has ended unless this process stops. Raises DatabaseUnavailable, after a while of it."""
        for tries_left in range(LEDGER_TRIES, -1, -1):
            try:
                job = self._services.jobs.get(job_id)
                break
            except DatabaseUnavailable:
                if not tries_left:
                    raise
                Pause().wait(LEDGER_PAUSE_S)
        if job.state.is_final:
            self._open.discard(job_id)
        return job

    def _still_running(self, patience_s: float) -> CallFailure:
        links = ", ".join(f"/v1/jobs/{job.id}" for job in self._jobs)
        self._open.clear()
        return CallFailure(
            status=504,
            message=f"no answer within {patience_s:g} s; it is still being worked on: GET {links} will have it",
            code="still_running",
            is_final=True,
        )

    def _guarded(self, events: Iterator[tuple[int, Event] | None]) -> Iterator[str]:
        """The stream, ended by an error where it cannot go on."""
        try:
            yield from self._events(events)
        except MathcodeError as error:
            yield _data(error_body(status=status_of(error), message=error.message, code=error.code))
        except Exception:
            logger.exception("the stream %s failed", self.id)
            yield _data(error_body(status=500, message=f"stream {self.id} failed", code="internal_error"))
        yield _DONE

    def _events(self, events: Iterator[tuple[int, Event] | None]) -> Iterator[str]:
        sent = [SentText() for _ in self._jobs]
        ended: dict[int, Job] = {}
        openings = (self._chunks.opening(index) for index in range(len(self._jobs)))
        yield from (_data(opening) for opening in openings if opening)
        for item in events:
            if self._client.is_gone():
                return
            if item is None:
                yield KEEP_ALIVE
                continue
            index, event = item
            if isinstance(event, Done):
                ended[index] = job = self._read_ended(self._id(item))
                yield from self._ending(index, job, sent[index])
                if failure_of(job):
                    return
            elif isinstance(event, Piece) and not self._is_hybrid(index):
                yield from self._text(index, sent[index].take(event.text, attempt=event.attempt))
        if len(ended) < len(self._jobs):
            raise StreamBroken("this server stops: ask again")
        if self._call.include_usage:
            yield _data(self._chunks.usage([ended[index] for index in sorted(ended)]))

    def _is_hybrid(self, index: int) -> bool:
        """Pieces of two models are no text yet: their merged answer is sent when both have ended."""
        return self._jobs[index].route.task_type is TaskType.HYBRID

    def _text(self, index: int, text: str | None) -> Iterator[str]:
        if text is None:
            raise StreamBroken(_DIVERGED)
        if text:
            yield _data(self._chunks.text(index, text))

    def _ending(self, index: int, job: Job, sent: SentText) -> Iterator[str]:
        """What is left of a choice, or the error that ends the stream."""
        failure = failure_of(job)
        if failure or job.answer is None:
            yield _data(failure.body if failure else error_body(status=500, message="no answer", code="no_answer"))
            return
        yield from self._text(index, sent.finish(job.answer.response))
        if scores := self._chunks.scores(index, job):
            yield _data(scores)
        yield _data(self._chunks.end(index, job))


_DONE = "data: [DONE]\n\n"


def _data(value: dict[str, Any]) -> str:
    return f"data: {one_line(json.dumps(value, ensure_ascii=False))}\n\n"


def _gone() -> CallFailure:
    return CallFailure(
        status=499, message="nobody waits for the answer any more", code="client_gone", is_final=True
    )


def begin(call: Call, services: Services, *, client: Client) -> LiveCall:
    """Submit a job for each choice of the current request, which has a seat: all of them, or none stays.

    What an Idempotency-Key stands for stays in any case, for the caller who comes again with it. Raises
    InvalidRequest, LimitReached or Unavailable.
    """
    done: list[Submitted] = []
    until, once = time.monotonic() + read_wait(), read_once()
    is_kept = once is not None
    try:
        for part, request in enumerate(call.requests):
            left_s = max(0.0, until - time.monotonic())
            each = replace(once, part=part) if once else None
            done.append(submit(request, once=each, wait_s=left_s, is_seated=True))
    except BaseException:
        if done:
            LiveCall(call, done, services, client=client, is_kept=is_kept).close()
        raise
    return LiveCall(call, done, services, client=client, is_kept=is_kept)
