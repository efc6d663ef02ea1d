"""Metered: what passes between a job, its sink and its loop is counted on the way; the job knows nothing of it."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumers.hands import Handle, Job
from consumers.worker import Pulse, Sink
from infra.health import HOLDING, READY
from infra.kafka import EventSource, Record
from infra.metrics import ItemMetrics, SearchMetrics, WorkerMetrics
from infra.qdrant.plan import Index
from schemas.envelope import Event
from schemas.failures import Failure, Unavailable
from schemas.outcomes import ItemBlocked, ItemIndexed, ItemRejected, ItemRemoved, ItemSuperseded
from schemas.results import SearchResult
from schemas.topics import DEAD_LETTER_TOPICS, RETRY_TOPICS

STEPS = ("fetched", "decoded", "encoded", "written")
SEARCH_STEPS = ("queued", "fetched", "decoded", "encoded", "searched")
LOOK_SECONDS = 1.0
"""How often it is looked how far the worker is behind."""
INDEX_SECONDS = 15.0
"""How often the index is asked how large it is."""

Seen = Callable[[object], None]
"""Takes the body of an event that was sent."""


@dataclass(frozen=True)
class MeteredSink:
    """A sink that shows `seen` each event, and counts what is sent to retry and dead-letter topics.

    What a transaction that is undone had sent counts too: that happens when the broker is away, and seldom.
    """

    sink: Sink
    seen: Seen
    metrics: WorkerMetrics

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        """Send an event."""
        self.sink.send(topic, key, event, partition)
        self.seen(event.body)

    def send_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes | None],
        *,
        partition: int | None = None,
    ) -> None:
        """Send a record as it is."""
        self.sink.send_raw(topic, key, value, headers, partition=partition)
        if topic in RETRY_TOPICS:
            self.metrics.retry(topic)
        elif topic in DEAD_LETTER_TOPICS:
            self.metrics.dead_letter(topic, (headers.get("dead-code") or b"").decode())

    def flush(self) -> None:
        """Wait until all has arrived."""
        self.sink.flush()


@dataclass
class MeteredPulse:
    """A pulse at whose beats it is noted how far the worker is behind, and how long it holds."""

    pulse: Pulse
    source: EventSource
    metrics: WorkerMetrics
    now: Callable[[], float] = time.monotonic
    _held_since: float | None = None
    _looked: float = float("-inf")
    _gone: dict[str, int] = field(default_factory=dict)
    """No lag for each topic that was told of: one whose partitions went to others is theirs to tell of."""

    def beat(self, state: str = READY, why: str | None = None) -> None:
        """Still here, and what it does."""
        self.pulse.beat(state, why)
        now = self.now()
        if self._held_since is not None:
            self.metrics.held(now - self._held_since)
        self._held_since = now if state == HOLDING else None
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            lag = self.source.lag()
            self.metrics.behind(self._gone | lag)
            self._gone |= dict.fromkeys(lag, 0)


@dataclass
class IndexGauge:
    """Asks an index now and then how large it is."""

    index: Index
    metrics: WorkerMetrics
    now: Callable[[], float] = time.monotonic
    _looked: float = field(default=float("-inf"))

    def look(self) -> None:
        """Ask, if it is time; nothing is told while the index is away."""
        now = self.now()
        if now - self._looked < INDEX_SECONDS:
            return
        self._looked = now
        try:
            status = self.index.status()
        except Unavailable:
            return
        self.metrics.index(status.live, status.unindexed, status.bytes)


def metered(job: Job, metrics: WorkerMetrics, look: Callable[[], None] = lambda: None) -> Job:
    """The same job, measured; `look` is called after each batch, and when there is nothing to do."""

    def passed(records: Sequence[Record]) -> None:
        job.passed(records)
        for topic, number in Counter(record.topic for record in records).items():
            metrics.done(topic, number)
        look()

    def idle() -> None:
        job.idle()
        look()

    refuse = None if job.refuse is None else _timed(job.refuse, metrics)
    return replace(job, handle=_timed(job.handle, metrics), refuse=refuse, passed=passed, idle=idle)


def _timed(handle: Handle, metrics: WorkerMetrics) -> Handle:
    def handle_timed(events: Sequence[Event]) -> Mapping[str, Failure]:
        started, failed = time.perf_counter(), dict[str, Failure]()
        metrics.taken(len(events))
        try:
            failed |= handle(events)
        finally:
            codes = [failure.code for failure in failed.values()]
            metrics.handled(len(events), time.perf_counter() - started, codes)
        return failed

    return handle_timed


def see_items(metrics: ItemMetrics) -> Seen:
    """Counts the outcomes of item events."""

    def see(body: object) -> None:
        match body:
            case ItemIndexed():
                metrics.item("indexed", body.source)
                _see_indexed(body, metrics)
            case ItemRemoved():
                metrics.item("removed", body.source)
            case ItemBlocked():
                metrics.item("blocked", body.source)
            case ItemSuperseded():
                metrics.item("superseded", body.source)
            case ItemRejected():
                metrics.item("rejected", "unknown")  # the event may have been unreadable

    return see


def _see_indexed(body: ItemIndexed, metrics: ItemMetrics) -> None:
    for fate, number in (("new", body.images), ("unchanged", body.unchanged), ("skipped", len(body.skipped))):
        metrics.pictures(fate, number)
    for step in STEPS:
        metrics.step(step, getattr(body.times, step) / 1000)
    if body.times.searchable_at and body.times.event_time:
        metrics.searchable(body.source, (body.times.searchable_at - body.times.event_time).total_seconds())


def see_results(metrics: SearchMetrics) -> Seen:
    """Counts the results of searches."""

    def see(body: object) -> None:
        if not isinstance(body, SearchResult):
            return
        metrics.result(body.status, body.code or "")
        if body.status in ("ok", "no_match"):
            metrics.steps({step: getattr(body.times, step) / 1000 for step in SEARCH_STEPS})
        if body.hits:
            metrics.confidence(body.hits[0].confidence)

    return see
