"""Tracing: writes spans for each handled event and its outcome, in one trace."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from consumers.runtime.ports import Sink
from infra.kafka import OutgoingRecord
from infra.observability.tracing import SpanStep, SpanWriter, consecutive_steps
from schemas.envelope import TRACEPARENT, Event
from schemas.failures import Failure
from schemas.outcomes import ItemOutcome
from schemas.results import SearchResult
from schemas.searches import SearchRequest

Handle = Callable[[Sequence[Event]], Mapping[str, Failure]]

ITEM_STEPS = ("fetched", "decoded", "encoded", "written")
SEARCH_STEPS = ("fetched", "decoded", "encoded", "searched")


@dataclass
class TracingSink:
    """A sink that writes the spans of each outcome and result, and adds the `traceparent` header to it."""

    sink: Sink
    tracing: SpanWriter
    _events_in_progress: dict[str, Event] = field(default_factory=dict)
    """Events of the current batch by the id that their outcomes and results name."""

    def watch(self, handle: Handle) -> Handle:
        """Wrap a handler, so that its events are known when their outcomes are sent."""

        def handle_traced(events: Sequence[Event]) -> Mapping[str, Failure]:
            self._events_in_progress = {_cause_id(event): event for event in events}
            return handle(events)

        return handle_traced

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Send an event; an outcome or result of an event in progress is traced first."""
        self.sink.send(topic, key, self._with_trace(event), partition)

    def send_record(self, record: OutgoingRecord) -> None:
        """Send a record unchanged."""
        self.sink.send_record(record)

    def flush(self) -> None:
        """Wait until all records have arrived."""
        self.sink.flush()

    def _with_trace(self, event: Event) -> Event:
        body, now = event.body, datetime.now(UTC)
        status: str
        if isinstance(body, SearchResult):
            cause, span_name, status = self._events_in_progress.get(body.request_id), "search", body.status
        elif isinstance(body, ItemOutcome):
            cause, span_name, status = self._events_in_progress.get(body.event_id), "item", body.schema_
        else:
            return event
        if cause is None:
            return event
        span, attributes = (
            SpanStep(span_name, cause.time, now),
            {"lookstream.status": status, "lookstream.event": cause.id},
        )
        parent = cause.extra.get(TRACEPARENT)
        traceparent = self.tracing.write_span(parent, span, _step_spans(body, cause.time), attributes)
        return replace(event, extra={**event.extra, TRACEPARENT: traceparent})


def _cause_id(event: Event) -> str:
    """Return the id that an outcome or a result carries: the request id of a search, else the event id."""
    return event.body.request_id if isinstance(event.body, SearchRequest) else event.id


def _step_spans(body: "SearchResult | ItemOutcome", started_at: datetime) -> list[SpanStep]:
    """Build the spans of the wait in the queue, and of the steps of the event's batch."""
    times = getattr(body, "times", None)
    if times is None:
        return []
    if isinstance(body, SearchResult):
        received_at, steps = started_at + timedelta(milliseconds=body.times.queued), SEARCH_STEPS
    else:
        received_at, steps = times.received_at or started_at, ITEM_STEPS
    return [
        SpanStep("queued", started_at, received_at),
        *consecutive_steps(received_at, {step: getattr(times, step) for step in steps}),
    ]
