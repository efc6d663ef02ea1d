"""Instrumentation: wrappers of a handler, a sink and a heartbeat that record metrics."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.runtime.ports import BatchHandler, Heartbeat, Sink
from infra.kafka import EventSource, OutgoingRecord, Record
from infra.metrics import WorkerMetrics
from infra.observability.heartbeat import HOLDING, READY
from schemas.envelope import Event
from schemas.failures import Failure, Unavailable
from schemas.topics import DEAD_LETTER_TOPICS, RETRY_TOPICS

LAG_SECONDS = 1.0
"""How often the consumer lag is read."""

Observe = Callable[[object], None]
"""Receives the body of each sent event."""


@dataclass(frozen=True)
class InstrumentedSink:
    """A sink that passes each event to `observe`, and counts the records sent to retry and dead-letter topics.

    A batch that is handled again, because the broker or the index was unavailable, is counted again.
    """

    sink: Sink
    observe: Observe
    metrics: WorkerMetrics

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Send an event, then observe its body."""
        self.sink.send(topic, key, event, partition)
        self.observe(event.body)

    def send_record(self, record: OutgoingRecord) -> None:
        """Send a record unchanged, and count it by its topic."""
        self.sink.send_record(record)
        if record.topic in RETRY_TOPICS:
            self.metrics.retry(record.topic)
        elif record.topic in DEAD_LETTER_TOPICS:
            self.metrics.dead_letter(record.topic, (record.headers.get("dead-code") or b"").decode())

    def flush(self) -> None:
        """Wait until all records have arrived."""
        self.sink.flush()


@dataclass
class InstrumentedHeartbeat:
    """A heartbeat that records the consumer lag, and the time for which the worker waits for a dependency."""

    heartbeat: Heartbeat
    source: EventSource
    metrics: WorkerMetrics
    now: Callable[[], float] = time.monotonic
    _holding_since: float | None = None
    _lag_read_at: float = float("-inf")
    _zero_lag: dict[str, int] = field(default_factory=dict)
    """0 for each topic read before: when its partitions go to other members, those report its lag."""

    def beat(self, state: str = READY, why: str | None = None) -> None:
        """Report that the worker is alive, and its state."""
        self.heartbeat.beat(state, why)
        now = self.now()
        if self._holding_since is not None:
            self.metrics.add_waiting_seconds(now - self._holding_since)
        self._holding_since = now if state == HOLDING else None
        if now - self._lag_read_at >= LAG_SECONDS:
            self._lag_read_at = now
            self._read_lag()

    def _read_lag(self) -> None:
        try:
            lag = self.source.lag()
        except Unavailable:
            return
        self.metrics.set_consumer_lag(self._zero_lag | lag)
        self._zero_lag |= dict.fromkeys(lag, 0)


@dataclass(frozen=True)
class InstrumentedHandler:
    """A handler with metrics; `refresh` is called after each batch and in each idle turn."""

    handler: BatchHandler
    metrics: WorkerMetrics
    refresh: Callable[[], None] = lambda: None

    @property
    def prepares(self) -> bool:
        return self.handler.prepares

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Handle a batch, and record its size, duration and failures."""
        return self._measure(self.handler.handle, events)

    def handle_expired(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Refuse a batch, and record its size, duration and failures."""
        return self._measure(self.handler.handle_expired, events)

    def idle(self) -> None:
        """Do one small maintenance step."""
        self.handler.idle()
        self.refresh()

    def is_behind(self) -> bool:
        return self.handler.is_behind()

    def already_processed(self, record: Record) -> bool:
        return self.handler.already_processed(record)

    def mark_processed(self, records: Sequence[Record]) -> None:
        """Count processed records by topic."""
        self.handler.mark_processed(records)
        for topic, count in Counter(record.topic for record in records).items():
            self.metrics.records_finished(topic, count)
        self.refresh()

    def expired_ids(self, events: Sequence[Event]) -> set[str]:
        return self.handler.expired_ids(events)

    def deferred_ids(self, events: Sequence[Event]) -> set[str]:
        return self.handler.deferred_ids(events)

    def prepare(self, events: Sequence[Event]) -> None:
        self.handler.prepare(events)

    def _measure(
        self, handle: Callable[[Sequence[Event]], Mapping[str, Failure]], events: Sequence[Event]
    ) -> Mapping[str, Failure]:
        started, failures = time.perf_counter(), dict[str, Failure]()
        self.metrics.batch_started(len(events))
        try:
            failures |= handle(events)
        finally:
            codes = [failure.code for failure in failures.values()]
            self.metrics.batch_finished(len(events), time.perf_counter() - started, codes)
        return failures
