"""Instrumentation: what passes between a handler, its sink and its loop is counted on the way."""

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
"""How often the lag is read."""

Observe = Callable[[object], None]
"""Takes the body of an event that was sent."""


@dataclass(frozen=True)
class InstrumentedSink:
    """A sink that lets `observe` see each event, and counts what is sent to retry and dead-letter topics.

    A batch that is handled again is counted again: that happens when the broker or the index is away.
    """

    sink: Sink
    observe: Observe
    metrics: WorkerMetrics

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Send an event."""
        self.sink.send(topic, key, event, partition)
        self.observe(event.body)

    def send_record(self, record: OutgoingRecord) -> None:
        """Send a record as it is."""
        self.sink.send_record(record)
        if record.topic in RETRY_TOPICS:
            self.metrics.retry(record.topic)
        elif record.topic in DEAD_LETTER_TOPICS:
            self.metrics.dead_letter(record.topic, (record.headers.get("dead-code") or b"").decode())

    def flush(self) -> None:
        """Wait until all has arrived."""
        self.sink.flush()


@dataclass
class InstrumentedHeartbeat:
    """A heartbeat at whose beats the lag is read, and how long the worker holds."""

    heartbeat: Heartbeat
    source: EventSource
    metrics: WorkerMetrics
    now: Callable[[], float] = time.monotonic
    _held_since: float | None = None
    _read_at: float = float("-inf")
    _gone: dict[str, int] = field(default_factory=dict)
    """No lag for each topic that had some: one whose partitions went to others is theirs to tell of."""

    def beat(self, state: str = READY, why: str | None = None) -> None:
        """Still here, and what it does."""
        self.heartbeat.beat(state, why)
        now = self.now()
        if self._held_since is not None:
            self.metrics.held(now - self._held_since)
        self._held_since = now if state == HOLDING else None
        if now - self._read_at >= LAG_SECONDS:
            self._read_at = now
            self._read_lag()

    def _read_lag(self) -> None:
        try:
            lag = self.source.lag()
        except Unavailable:
            return
        self.metrics.behind(self._gone | lag)
        self._gone |= dict.fromkeys(lag, 0)


@dataclass(frozen=True)
class InstrumentedHandler:
    """The same handler, measured; `look` is called after each batch, and when there is nothing to do."""

    handler: BatchHandler
    metrics: WorkerMetrics
    look: Callable[[], None] = lambda: None

    @property
    def prepares(self) -> bool:
        """As the handler says."""
        return self.handler.prepares

    def handle(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Handle a batch, and count it."""
        return self._timed(self.handler.handle, events)

    def refuse(self, events: Sequence[Event]) -> Mapping[str, Failure]:
        """Refuse a batch, and count it."""
        return self._timed(self.handler.refuse, events)

    def idle(self) -> None:
        """Do a small step of what can wait."""
        self.handler.idle()
        self.look()

    def is_behind(self) -> bool:
        """As the handler says."""
        return self.handler.is_behind()

    def was_done(self, record: Record) -> bool:
        """As the handler says."""
        return self.handler.was_done(record)

    def note_done(self, records: Sequence[Record]) -> None:
        """Count records that are done."""
        self.handler.note_done(records)
        for topic, number in Counter(record.topic for record in records).items():
            self.metrics.done(topic, number)
        self.look()

    def expired(self, events: Sequence[Event]) -> set[str]:
        """As the handler says."""
        return self.handler.expired(events)

    def deferred(self, events: Sequence[Event]) -> set[str]:
        """As the handler says."""
        return self.handler.deferred(events)

    def prepare(self, events: Sequence[Event]) -> None:
        """As the handler does."""
        self.handler.prepare(events)

    def _timed(
        self, handle: Callable[[Sequence[Event]], Mapping[str, Failure]], events: Sequence[Event]
    ) -> Mapping[str, Failure]:
        started, failed = time.perf_counter(), dict[str, Failure]()
        self.metrics.taken(len(events))
        try:
            failed |= handle(events)
        finally:
            codes = [failure.code for failure in failed.values()]
            self.metrics.handled(len(events), time.perf_counter() - started, codes)
        return failed
