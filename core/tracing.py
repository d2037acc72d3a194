"""Where the time of a job went, for who collects traces; off unless MATHCODE_TRACES_URL is set.

A job's trace has the job's own id and its first span an id made from that. So every process knows both, nothing is
carried through ledger and queue, and a job that begins again elsewhere stays in its trace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

from core.errors import ConfigurationError
from core.settings import Settings

Attributes = Mapping[str, str | int | float | bool]


class Tracer(Protocol):
    """Told of what has passed; times are seconds since the epoch. Never raises, never waits."""

    def begin(self, job_id: str, name: str, *, start: float, attributes: Attributes, parent: str | None) -> None:
        """The first span of a job, ended now; `parent` is a caller's `traceparent`, which it is linked with."""

    def add(self, job_id: str, name: str, *, start: float, end: float, attributes: Attributes) -> None:
        """A later span."""


class NoTraces:
    """Keeps nothing."""

    def begin(self, job_id: str, name: str, *, start: float, attributes: Attributes, parent: str | None) -> None:
        pass

    def add(self, job_id: str, name: str, *, start: float, end: float, attributes: Attributes) -> None:
        pass


NO_TRACES = NoTraces()


def build_tracer(settings: Settings, part: str) -> Tracer:
    """`part` names the process: api, mathstral, ... Raises ConfigurationError where the extra is not installed."""
    if settings.traces_url is None:
        return NO_TRACES
    try:
        from core.otlp import OtlpTracer
    except ImportError as error:
        raise ConfigurationError(
            "MATHCODE_TRACES_URL is set, but OpenTelemetry is not installed: pip install 'mathcode[otel]'"
        ) from error
    return OtlpTracer(settings.traces_url.get_secret_value(), part)


def created_at(job_id: str) -> float:
    """When a job was accepted: its UUIDv7 begins with that, in milliseconds."""
    return int(job_id.replace("-", "")[:12], 16) / 1000


def first_span_id(job_id: str) -> int:
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:8]) or 1
