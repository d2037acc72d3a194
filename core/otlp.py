"""Traces by OpenTelemetry, sent over HTTP by a thread of its own; imported only where they are wanted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import local

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.logs import trace_id
from core.tracing import Attributes, first_span_id

SEND_EVERY_MS = 1000
NANOSECONDS = 1_000_000_000


class OtlpTracer:
    """`core.tracing.Tracer` for the collector at `url`."""

    def __init__(self, url: str, part: str) -> None:
        self._ids = _ChosenIds()
        resource = Resource.create({"service.name": f"mathcode-{part}", "service.namespace": "mathcode"})
        provider = TracerProvider(resource=resource, id_generator=self._ids)
        exporter = OTLPSpanExporter(endpoint=url)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=SEND_EVERY_MS))
        self._tracer = provider.get_tracer("mathcode")

    def begin(self, job_id: str, name: str, *, start: float, attributes: Attributes, parent: str | None) -> None:
        self._ids.choose(int(trace_id(job_id), 16), first_span_id(job_id))
        span = self._tracer.start_span(
            name,
            context=Context(),
            kind=SpanKind.SERVER,
            attributes=dict(attributes),
            start_time=int(start * NANOSECONDS),
            links=_links(parent),
        )
        span.end(time.time_ns())

    def add(self, job_id: str, name: str, *, start: float, end: float, attributes: Attributes) -> None:
        first = SpanContext(
            trace_id=int(trace_id(job_id), 16),
            span_id=first_span_id(job_id),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(NonRecordingSpan(first), Context()),
            attributes=dict(attributes),
            start_time=int(start * NANOSECONDS),
        )
        span.end(int(end * NANOSECONDS))


class _ChosenIds(IdGenerator):
    """Random, but for the next span of this thread after `choose`."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._chosen = local()

    def choose(self, trace: int, span: int) -> None:
        self._chosen.trace, self._chosen.span = trace, span

    def generate_trace_id(self) -> int:
        return self._take("trace") or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        return self._take("span") or self._random.generate_span_id()

    def _take(self, name: str) -> int:
        value = int(getattr(self._chosen, name, 0))
        setattr(self._chosen, name, 0)
        return value


def _links(parent: str | None) -> Sequence[Link]:
    """To the caller's span, where it sent one."""
    carried = TraceContextTextMapPropagator().extract({"traceparent": parent or ""}, context=Context())
    context = get_current_span(carried).get_span_context()
    return [Link(context)] if context.is_valid else []
