"""Traced: each event that a job handled, and what it came to, as spans of one trace."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from consumers.runtime.ports import Sink
from infra.kafka import OutgoingRecord
from infra.observability.tracing import SpanStep, SpanWriter, one_after_another
from schemas.envelope import TRACEPARENT, Event
from schemas.failures import Failure
from schemas.outcomes import ItemOutcome
from schemas.results import SearchResult
from schemas.searches import SearchRequest

Handle = Callable[[Sequence[Event]], Mapping[str, Failure]]

ITEM_STEPS = ("fetched", "decoded", "encoded", "written")
SEARCH_STEPS = ("fetched", "decoded", "encoded", "searched")


@dataclass
class TracingHandler:
    """A sink that tells, for each outcome and result, of the event that it came of; they carry the trace on."""

    sink: Sink
    tracing: SpanWriter
    _handled: dict[str, Event] = field(default_factory=dict)

    def watch(self, handle: Handle) -> Handle:
        """The same handler, whose events are known by the time that their outcomes are sent."""

        def handle_watched(events: Sequence[Event]) -> Mapping[str, Failure]:
            self._handled = {_name(event): event for event in events}
            return handle(events)

        return handle_watched

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Send an event; what came of one that was handled is traced, and says in which trace."""
        self.sink.send(topic, key, self._traced(event), partition)

    def send_record(self, record: OutgoingRecord) -> None:
        """Send a record as it is."""
        self.sink.send_record(record)

    def flush(self) -> None:
        """Wait until all has arrived."""
        self.sink.flush()

    def _traced(self, event: Event) -> Event:
        body, now = event.body, datetime.now(UTC)
        status: str
        if isinstance(body, SearchResult):
            cause, what, status = self._handled.get(body.request_id), "search", body.status
        elif isinstance(body, ItemOutcome):
            cause, what, status = self._handled.get(body.event_id), "item", body.schema_
        else:
            return event
        if cause is None:
            return event
        whole, attributes = (
            SpanStep(what, cause.time, now),
            {"lookstream.status": status, "lookstream.event": cause.id},
        )
        parent = cause.extra.get(TRACEPARENT)
        told = self.tracing.tell(parent, whole, _parts(body, cause.time), attributes)
        return replace(event, extra={**event.extra, TRACEPARENT: told})


def _name(event: Event) -> str:
    """What an outcome or a result calls the event that it came of."""
    return event.body.request_id if isinstance(event.body, SearchRequest) else event.id


def _parts(body: "SearchResult | ItemOutcome", began: datetime) -> list[SpanStep]:
    """The wait, and the steps of the batch that the event was in."""
    times = getattr(body, "times", None)
    if times is None:
        return []
    if isinstance(body, SearchResult):
        received, steps = began + timedelta(milliseconds=body.times.queued), SEARCH_STEPS
    else:
        received, steps = times.received_at or began, ITEM_STEPS
    return [
        SpanStep("queued", began, received),
        *one_after_another(received, {step: getattr(times, step) for step in steps}),
    ]
