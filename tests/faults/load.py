"""What callers do meanwhile: jobs of one model and of both, followed, told, cancelled, repeated, in batches."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

import requests

from tests.faults.following import Followed, Follower
from tests.faults.world import World

SUBMITTERS = 6
FOLLOWERS = 12
TIMEOUT_S = 20.0
PATIENCE_S = 180.0
"""No outage of a run is longer: who is refused all this time has found a defect."""
LINES = 100
"""Of each batch."""
JOBS_PER_BATCH = 600

_KINDS: dict[str, dict[str, Any]] = {
    "math": {"force_task_type": "math"},
    "code": {"force_task_type": "code"},
    "parallel": {"force_task_type": "hybrid", "strategy": "parallel"},
    "sequential": {"force_task_type": "hybrid", "strategy": "sequential"},
}
_WEIGHTS = [40, 40, 12, 8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One job as a caller wants it."""

    number: int
    kind: str
    body: dict[str, Any]
    is_once: bool
    is_followed: bool
    is_told: bool
    is_cancelled: bool

    @property
    def same(self) -> str:
        """Jobs that agree in this have the same answer."""
        return f"{self.kind} {self.body['prompt']} {self.body['max_tokens']}"


def draw_wish(seed: int, number: int) -> Wish:
    chance = random.Random(f"wish {seed} {number}")
    (kind,) = chance.choices(list(_KINDS), _WEIGHTS)
    is_long = chance.random() < 0.04
    body = {
        "prompt": f"Question {chance.randrange(20)}",
        "max_tokens": chance.choice((200, 400)) if is_long else chance.choice((1, 3, 8, 16)),
        "priority": chance.choices(("high", "normal", "low"), (10, 80, 10))[0],
        **_KINDS[kind],
    }
    return Wish(
        number=number,
        kind=kind,
        body=body,
        is_once=chance.random() < 0.5,
        is_followed=is_long or chance.random() < 0.08,
        is_told=chance.random() < 0.1,
        is_cancelled=chance.random() < 0.02,
    )


@dataclass
class Book:
    """What callers know in the end: the outside view of a run."""

    accepted: dict[int, str] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    batches: dict[str, int] = field(default_factory=dict)  # id -> lines
    followed: list[Followed] = field(default_factory=list)
    unknown: int = 0  # submissions whose answer was lost on the way; they may be stored
    statuses: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class Load:
    """`jobs` wishes at `rate` per second, whether or not earlier ones were answered; `progress` counts them."""

    def __init__(self, world: World, *, seed: int, jobs: int, rate: float) -> None:
        self.book = Book()
        self.progress = 0
        self._world = world
        self._seed = seed
        self._jobs = jobs
        self._rate = rate
        self._begun = 0.0
        self._following: list[Thread] = []

    def run(self) -> None:
        """Return when every wish was accepted and every stream has ended."""
        self._begun = time.monotonic()
        threads = [Thread(target=self._submit_all, daemon=True) for _ in range(SUBMITTERS)]
        threads += [Thread(target=self._batches, daemon=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for thread in self._following:
            thread.join(PATIENCE_S)
            if thread.is_alive():
                self.book.broken.append("a stream did not end")

    def _submit_all(self) -> None:
        with requests.Session() as session:
            while (wish := self._next()) is not None:
                Event().wait(max(0.0, self._begun + wish.number / self._rate - time.monotonic()))
                self._submit(session, wish)

    def _next(self) -> Wish | None:
        with self.book.lock:
            if self.progress >= self._jobs:
                return None
            self.progress += 1
            return draw_wish(self._seed, self.progress - 1)

    def _submit(self, session: requests.Session, wish: Wish) -> None:
        headers = {"Idempotency-Key": f"fuzz-{wish.number}"} if wish.is_once else {}
        body = {**wish.body, "webhook_url": self._world.receiver.url} if wish.is_told else wish.body
        answer = self._insist(
            lambda: session.post(
                f"{self._world.running.url}/v1/jobs", json=body, headers=headers, timeout=TIMEOUT_S
            ),
            is_once=wish.is_once,
        )
        if answer is None:
            return
        job_id = str(answer["id"])
        with self.book.lock:
            self.book.accepted[wish.number] = job_id
        if wish.is_followed:
            self._follow(job_id)
        if wish.is_cancelled:
            with self.book.lock:
                self.book.cancelled.add(wish.number)
            url = f"{self._world.running.url}/v1/jobs/{job_id}/cancel"
            self._insist(lambda: session.post(url, timeout=TIMEOUT_S), is_once=True)

    def _insist(self, ask: Callable[[], requests.Response], *, is_once: bool) -> dict[str, Any] | None:
        """Ask until the answer is a yes; `is_once` says that a lost answer leaves nothing behind."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                response = ask()
            except requests.RequestException as error:
                self._note(type(error).__name__)
                self.book.unknown += not is_once
                Event().wait(0.2)
                continue
            self._note(str(response.status_code))
            if response.status_code < 300:
                found: dict[str, Any] = response.json()
                return found
            if response.status_code != 503 or "Retry-After" not in response.headers:
                self._break(f"refused by {response.status_code}: {response.text[:300]}")
            Event().wait(0.2)
        self._break(f"nothing was accepted for {PATIENCE_S:.0f} s")
        return None

    def _note(self, status: str) -> None:
        with self.book.lock:
            self.book.statuses[status] += 1

    def _break(self, law: str) -> None:
        with self.book.lock:
            self.book.broken.append(law)

    def _follow(self, job_id: str) -> None:
        """By a thread of its own, if one is free."""
        self._following = [thread for thread in self._following if thread.is_alive()]
        if len(self._following) >= FOLLOWERS:
            return
        follower = Follower(self._world.running.url, job_id)
        thread = Thread(target=lambda: self.book.followed.append(follower.follow(PATIENCE_S)), daemon=True)
        thread.start()
        self._following.append(thread)

    def _batches(self) -> None:
        for number in range(max(1, self._jobs // JOBS_PER_BATCH)):
            while self.progress < min(self._jobs, number * JOBS_PER_BATCH + 1):
                Event().wait(0.05)
            self._begin_batch(number)

    def _begin_batch(self, number: int) -> None:
        url, content = self._world.running.url, _batch_lines(self._seed, number)
        uploaded = self._insist(
            lambda: requests.post(
                f"{url}/v1/files",
                files={"file": ("in.jsonl", content)},
                data={"purpose": "batch"},
                timeout=TIMEOUT_S,
            ),
            is_once=True,
        )
        body = {
            "input_file_id": uploaded and uploaded["id"],
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        }
        headers = {"Idempotency-Key": f"fuzz-batch-{number}"}
        begun = self._insist(
            lambda: requests.post(f"{url}/v1/batches", json=body, headers=headers, timeout=TIMEOUT_S), is_once=True
        )
        if begun is not None:
            self.book.batches[str(begun["id"])] = LINES


def _batch_lines(seed: int, number: int) -> bytes:
    chance = random.Random(f"batch {seed} {number}")
    return b"".join(
        json.dumps(
            {
                "custom_id": f"line-{line}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {
                    "model": chance.choice(("mathstral", "codestral")),
                    "messages": [{"role": "user", "content": f"Batch question {chance.randrange(20)}"}],
                    "max_tokens": chance.choice((1, 3, 8)),
                },
            }
        ).encode()
        + b"\n"
        for line in range(LINES)
    )
