"""A caller that follows one job to its end and comes back after every broken connection."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import requests

from api.formats.events import ANSWERED


@dataclass
class Followed:
    """What one caller saw of a job; `pieces` holds the text of the newest attempt of each model."""

    job_id: str
    done: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    pieces: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    returns: int = 0
    broken: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    ended: float = 0.0


class Follower:
    def __init__(self, url: str, job_id: str) -> None:
        self._url = f"{url}/v1/jobs/{job_id}/events"
        self._last: str | None = None
        self._read_up_to: str | None = None
        self._seen = Followed(job_id)

    def follow(self, within_s: float) -> Followed:
        """Until `done`, or until that is told to be behind."""
        end = time.monotonic() + within_s
        while time.monotonic() < end and not self._seen.done:
            try:
                if self._once():
                    break
            except requests.RequestException:
                pass
            if not self._seen.done:
                self._seen.returns += 1
                Event().wait(0.2)
        if not self._seen.done:
            self._seen.broken.append(f"the stream had no end within {within_s:.0f} s")
        self._seen.ended = time.time()
        return self._seen

    def _once(self) -> bool:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        with requests.get(self._url, headers=headers, stream=True, timeout=20) as response:
            if response.status_code == 204:
                return True
            if response.status_code == 503:
                return False
            if response.status_code != 200:
                self._seen.broken.append(f"following gave {response.status_code}: {response.text[:200]}")
                return True
            for event_id, name, data in _events(response.iter_lines(decode_unicode=True)):
                self._take(event_id, name, data)
        return False

    def _take(self, event_id: str | None, name: str, data: dict[str, Any]) -> None:
        if event_id and event_id != ANSWERED:
            if self._read_up_to and _order(event_id) <= _order(self._read_up_to):
                self._seen.broken.append(f"{event_id} came after {self._read_up_to}")
            self._read_up_to = event_id
        self._last = event_id or self._last
        if name == "done":
            self._seen.done.append(data["status"])
        elif self._seen.done:
            self._seen.broken.append(f"{name} came after done")
        elif name == "answer":
            self._seen.answers.append(data)
        else:
            self._read_piece(data["model"], data["attempt"], data.get("text", ""))

    def _read_piece(self, model: str, attempt: int, text: str) -> None:
        if attempt < self._seen.attempts.get(model, 0):
            self._seen.broken.append(f"attempt {attempt} of {model} spoke after its successor")
        if attempt > self._seen.attempts.get(model, 0):
            self._seen.attempts[model], self._seen.pieces[model] = attempt, ""
        self._seen.pieces[model] += text


def _order(event_id: str) -> tuple[int, int]:
    moment, _, number = event_id.partition("-")
    return int(moment), int(number or 0)


def _events(lines: Iterator[str]) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """Whole events only: one that a broken connection cut short is none."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields.get("id"), fields["event"], json.loads(fields["data"])
            fields = {}
