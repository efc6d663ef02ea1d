"""Tracing: spans of the processing of events, sent to an OTLP collector; disabled unless an endpoint is set.

The `traceparent` header (https://www.w3.org/TR/trace-context) carries the trace context from
an event's sender to its outcome or result.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from infra.config.errors import BadInput
from infra.config.observability import TraceSettings
from schemas.envelope import TRACEPARENT, Event

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

SERVICE = "lookstream"
"""Service name of commands in traces; workers and the gateway have their own names."""
CALLER_TRACEPARENT: ContextVar[str | None] = ContextVar("caller", default=None)
"""The traceparent of the caller of the current operation, if there is one."""
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class SpanStep:
    """A step of an operation: its name, start and end."""

    name: str
    began: datetime
    ended: datetime


def consecutive_steps(began: datetime, milliseconds: Mapping[str, float]) -> list[SpanStep]:
    """Consecutive steps from their durations; the first starts at `began`."""
    steps, start = list[SpanStep](), began
    for name, duration in milliseconds.items():
        steps.append(SpanStep(name, start, start + timedelta(milliseconds=duration)))
        start = steps[-1].ended
    return steps


class SpanWriter:
    """Writes spans of completed operations."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    def write_span(
        self, parent: str | None, whole: SpanStep, parts: list[SpanStep], attributes: Mapping[str, str]
    ) -> str:
        """Write a span with child spans under the span of the traceparent `parent`; returns its own traceparent."""
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        span = self._tracer.start_span(
            whole.name, _context(parent), attributes=dict(attributes), start_time=_nanoseconds(whole.began)
        )
        context = set_span_in_context(span)
        for part in parts:
            inner = self._tracer.start_span(part.name, context, start_time=_nanoseconds(part.began))
            inner.end(_nanoseconds(part.ended))
        span.end(_nanoseconds(whole.ended))
        TraceContextTextMapPropagator().inject(carrier, context)
        return carrier[TRACEPARENT]

    def sent(self, event: Event, topic: str) -> Event:
        """Write a span for the sending of an event, and return the event with the span's traceparent.

        The parent is the event's own traceparent, or else that of the caller; without either, a new trace starts.
        """
        whole = SpanStep(f"send {topic}", event.time, datetime.now(UTC))
        parent = event.extra.get(TRACEPARENT) or CALLER_TRACEPARENT.get()
        traceparent = self.write_span(parent, whole, [], {"lookstream.event": event.id})
        return replace(event, extra={**event.extra, TRACEPARENT: traceparent})


@contextmanager
def tracing(settings: TraceSettings, service: str) -> Iterator[SpanWriter | None]:
    """The span writer of a service, which is flushed at the end of the block; None without an endpoint.

    Raises BadInput if the extra `traces` is not installed.
    """
    if settings.endpoint is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ModuleNotFoundError:
        raise BadInput("LOOKSTREAM_TRACES_ENDPOINT needs the extra: pip install lookstream[traces]") from None
    resource = Resource.create({"service.name": service})
    provider = TracerProvider(ParentBasedTraceIdRatio(settings.share), resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.endpoint)))
    try:
        yield SpanWriter(provider.get_tracer("lookstream"))
    finally:
        provider.shutdown()


def _context(parent: str | None) -> "Context | None":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: parent}) if parent else None


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * NANOSECONDS)
