"""The metrics of a handler, its sink and its loop."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers.runtime.instrumentation import InstrumentedHandler, InstrumentedHeartbeat, InstrumentedSink
from consumers.workers.metrics import IndexGauge, item_observer, result_observer
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, EventSource, OutgoingRecord, Record
from infra.metrics import ItemMetrics, SearchMetrics, WorkerMetrics
from infra.observability.heartbeat import HOLDING, READY
from infra.qdrant.contract import IndexStatus
from infra.qdrant.embedded.damage import IndexDamaged
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, Unavailable
from schemas.items import ItemDeleted
from schemas.outcomes import ItemIndexed, ItemRejected, ItemRemoved, StepTimes
from schemas.results import Hit, SearchResult, SearchTimes
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, SEARCH_RESULTS, SOCIAL_POSTS
from tests.consumers.runtime.handlers import FunctionHandler

NOW = datetime(2026, 11, 27, tzinfo=UTC)
WHO: dict[str, Any] = {"event_id": "e", "tenant": "default", "item_id": "i", "revision": 1}


@dataclass
class RecordingSink:
    """A sink that records events."""

    raw: list[str] = field(default_factory=list)

    def send(self, topic: str, key: str, event: Event, partition: int | None = None) -> None:
        self.raw.append(topic)

    def send_record(self, record: OutgoingRecord) -> None:
        self.raw.append(record.topic)

    def flush(self) -> None:
        self.raw.append("flush")


def values(metrics: WorkerMetrics, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric, by the values of their labels; those that were never touched are left out."""
    found = [one for family in metrics.registry.collect() for one in family.samples]
    return {tuple(one.labels.values()): one.value for one in found if one.name == name and one.value}


def test_outcomes_are_counted_by_kind() -> None:
    metrics = WorkerMetrics("index")
    sink = InstrumentedSink(RecordingSink(), item_observer(ItemMetrics(metrics.registry)), metrics)
    times = StepTimes(event_time=NOW, searchable_at=NOW + timedelta(seconds=0.3), decoded=30, encoded=70)
    for body in (
        ItemIndexed(**WHO, source="catalog", images=2, unchanged=1, times=times),
        ItemRemoved(**WHO, source="social"),
        ItemRejected(event_id="e", code=Code.IMAGE_MISSING, message="no"),
    ):
        sink.send(ITEM_OUTCOMES, "k", Event(body))
    assert values(metrics, "lookstream_items_total") == {
        ("indexed", "catalog"): 1, ("removed", "social"): 1, ("rejected", "unknown"): 1
    }  # fmt: skip
    assert values(metrics, "lookstream_pictures_total") == {("new",): 2, ("unchanged",): 1}
    assert values(metrics, "lookstream_event_to_searchable_seconds_sum") == {("catalog",): 0.3}
    assert values(metrics, "lookstream_item_step_seconds_sum") == {("decoded",): 0.03, ("encoded",): 0.07}


def test_results_are_counted_by_status_with_their_steps_and_confidence() -> None:
    metrics = WorkerMetrics("query")
    sink = InstrumentedSink(RecordingSink(), result_observer(SearchMetrics(metrics.registry)), metrics)
    hit = Hit(item_id="i", tenant="default", score=0.9, confidence=0.75, image=0, source="catalog", revision=1)
    for body in (
        SearchResult(request_id="a", status="ok", hits=(hit,), times=SearchTimes(queued=20, encoded=80)),
        SearchResult(request_id="b", status="rejected", code=Code.IMAGE_MISSING, message="no"),
        SearchResult(request_id="c", status="expired", message="late"),
    ):
        sink.send(SEARCH_RESULTS, "k", Event(body))
    assert values(metrics, "lookstream_search_results_total") == {
        ("ok", ""): 1, ("rejected", "image_missing"): 1, ("expired", ""): 1
    }  # fmt: skip
    assert values(metrics, "lookstream_search_seconds_sum") == {(): 0.1}
    assert values(metrics, "lookstream_search_confidence_sum") == {(): 0.75}


def test_retries_and_dead_letters_are_distinguished_from_other_records() -> None:
    metrics, unsent = WorkerMetrics("index"), RecordingSink()
    sink = InstrumentedSink(unsent, lambda _body: None, metrics)
    sink.send_record(OutgoingRecord("catalog.items.retry.5s", b"k", b"v", {}))
    sink.send_record(OutgoingRecord("catalog.items.dead", b"k", b"v", {"dead-code": b"image_missing"}))
    sink.send_record(OutgoingRecord("catalog.items", b"k", b"v", {}))
    sink.flush()
    assert unsent.raw == ["catalog.items.retry.5s", "catalog.items.dead", "catalog.items", "flush"]
    assert values(metrics, "lookstream_retries_total") == {("index", "catalog.items.retry.5s"): 1}
    assert values(metrics, "lookstream_dead_letters_total") == {("index", "catalog.items.dead", "image_missing"): 1}


def test_a_batch_is_counted_with_its_failures_and_in_flight_only_while_it_is_processed() -> None:
    metrics = WorkerMetrics("index")
    during: list[dict[tuple[str, ...], float]] = []

    def handle(events: Sequence[Event]) -> Mapping[str, Failure]:
        during.append(values(metrics, "lookstream_in_flight_records"))
        return {events[0].id: Rejected(Code.IMAGE_MISSING, "no")}

    job = InstrumentedHandler(FunctionHandler(handle), metrics)
    job.handle([Event(ItemDeleted(item_id=f"{n}", revision=1)) for n in range(3)])
    job.mark_processed([Record(CATALOG_ITEMS, 0, n, b"", b"") for n in range(3)])
    assert during == [{("index",): 3}]
    assert values(metrics, "lookstream_in_flight_records") == {}
    assert values(metrics, "lookstream_failures_total") == {("index", "image_missing"): 1}
    assert values(metrics, "lookstream_records_total") == {("index", CATALOG_ITEMS): 3}
    assert values(metrics, "lookstream_batch_records_sum") == {("index",): 3}


def test_a_batch_that_waits_for_a_dependency_is_not_in_flight() -> None:
    metrics = WorkerMetrics("index")

    def away(_events: Sequence[Event]) -> Mapping[str, Failure]:
        raise Unavailable("away, for the test")

    with pytest.raises(Unavailable):
        InstrumentedHandler(FunctionHandler(away), metrics).handle([Event(ItemDeleted(item_id="a", revision=1))])
    assert values(metrics, "lookstream_in_flight_records") == {}


@dataclass
class Clock:
    """A clock that is set by hand."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_waiting_time_and_the_lag_of_a_worker_are_reported(kafka: KafkaSettings) -> None:
    metrics, clock = WorkerMetrics("index"), Clock()
    with closing(EventSink(kafka)) as sink, closing(EventSource(kafka, "g", [CATALOG_ITEMS])) as source:
        for n in range(5):
            sink.send(CATALOG_ITEMS, "one", Event(ItemDeleted(item_id=f"{n}", revision=1)))
        sink.flush()
        while not (batch := source.poll_batch(2, 0.1).records):
            pass
        pulse = InstrumentedHeartbeat(NullPulse(), source, metrics, clock)
        for clock.seconds, state in ((0, READY), (1, HOLDING), (3, HOLDING), (4, READY), (9, READY)):
            pulse.beat(state)
    assert len(batch) == 2
    assert values(metrics, "lookstream_waiting_seconds_total") == {("index",): 3}
    assert values(metrics, "lookstream_consumer_lag_records") == {("index", CATALOG_ITEMS): 3}


def test_the_lag_of_partitions_that_went_to_another_worker_is_not_reported_twice() -> None:
    class Source:
        lags = iter([{CATALOG_ITEMS: 7, SOCIAL_POSTS: 2}, {SOCIAL_POSTS: 3}])

        def lag(self) -> dict[str, int]:
            return next(self.lags)

    metrics, clock = WorkerMetrics("index"), Clock()
    pulse = InstrumentedHeartbeat(NullPulse(), Source(), metrics, clock)  # type: ignore[arg-type]
    for clock.seconds in (0, 2):
        pulse.beat()
    metrics.set_consumer_lag({"catalog.items.retry.5s": 4})  # the other lane uses the same metrics
    assert values(metrics, "lookstream_consumer_lag_records") == {
        ("index", SOCIAL_POSTS): 3, ("index", "catalog.items.retry.5s"): 4
    }  # fmt: skip


class NullPulse:
    """A heartbeat without effect."""

    def beat(self, state: str = READY, why: str | None = None) -> None:
        """Nothing."""


def status_source(live: int, counts: list[int]) -> Callable[[], IndexStatus]:
    def status() -> IndexStatus:
        counts.append(live)
        if len(counts) == 2:
            raise Unavailable("away, for the test")
        if len(counts) == 3:
            raise IndexDamaged("damaged, for the test")
        return IndexStatus("fake:1", 8, live, 2, 1, 4_096)

    return status


def test_the_index_is_asked_now_and_then_how_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, clock, counts = WorkerMetrics("index"), Clock(), list[int]()

    class Index:
        status = staticmethod(status_source(7, counts))

    gauge = IndexGauge(Index(), metrics, clock)  # type: ignore[arg-type]
    for clock.seconds in (0, 5, 20, 21, 40, 60):
        gauge.update()
    assert len(counts) == 4
    assert values(metrics, "lookstream_index_points") == {("index",): 7}
    assert values(metrics, "lookstream_index_unindexed_points") == {("index",): 2}
    assert values(metrics, "lookstream_index_bytes") == {("index",): 4_096}
