"""Worker metrics: records, batches, items and searches; label values are few, and no caller chooses them."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.5, 3.0, 6.0, 12.0)
"""Bucket bounds in seconds; finer near the targets, which are 0.4 s for a search and 1 s for freshness."""
RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class WorkerMetrics:
    """Metrics of every worker: its processing loop and its records' outcomes, labelled by the worker's kind."""

    def __init__(self, worker: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._worker = worker
        by, topic, code = ("worker",), ("worker", "topic"), ("worker", "code")
        self._records = Counter("lookstream_records", "Processed records.", topic, registry=registry)
        self._failures = Counter("lookstream_failures", "Failed attempts at events.", code, registry=registry)
        self._retries = Counter("lookstream_retries", "Records sent to a retry topic.", topic, registry=registry)
        self._dead_letters = Counter(
            "lookstream_dead_letters", "Records sent to a dead-letter topic.", (*topic, "code"), registry=registry
        )
        self._batch = Histogram(
            "lookstream_batch_records", "Events in a batch.", by, buckets=RECORDS, registry=registry
        )
        self._seconds = Histogram(
            "lookstream_batch_seconds", "Seconds to process a batch.", by, buckets=SECONDS, registry=registry
        )
        self._in_flight = Gauge("lookstream_in_flight_records", "Events in progress.", by, registry=registry)
        self._consumer_lag = Gauge(
            "lookstream_consumer_lag_records", "Records not read yet, at the last fetch.", topic, registry=registry
        )
        self._waiting_seconds = Counter(
            "lookstream_waiting_seconds", "Seconds of waiting for an unavailable dependency.", by, registry=registry
        )
        self._encoder = Gauge(
            "lookstream_encoder_info",
            "1, for the encoder's fingerprint.",
            ("worker", "fingerprint"),
            registry=registry,
        )
        self._points = Gauge("lookstream_index_points", "Searchable points.", by, registry=registry)
        self._unindexed = Gauge(
            "lookstream_index_unindexed_points", "Searchable points outside the HNSW graph.", by, registry=registry
        )
        self._index_bytes = Gauge(
            "lookstream_index_bytes", "Size of the index on disk, if the engine reports it.", by, registry=registry
        )

        self._waiting_seconds.labels(worker)  # initialised to 0, as a rate needs two values

    def encoder(self, fingerprint: str) -> None:
        """Set the fingerprint of the encoder."""
        self._encoder.clear()
        self._encoder.labels(self._worker, fingerprint).set(1)

    def batch_started(self, events: int) -> None:
        """Count the events of a batch whose processing starts."""
        self._in_flight.labels(self._worker).inc(events)

    def batch_finished(self, events: int, seconds: float, failed: Iterable[str]) -> None:
        """Record a processed batch; `failed` holds the error codes of its failed events."""
        self._in_flight.labels(self._worker).dec(events)
        self._batch.labels(self._worker).observe(events)
        self._seconds.labels(self._worker).observe(seconds)
        for code in failed:
            self._failures.labels(self._worker, code).inc()

    def records_finished(self, topic: str, records: int) -> None:
        """Count finished records."""
        self._records.labels(self._worker, topic).inc(records)

    def retry(self, topic: str) -> None:
        """Count a record that was sent to a retry topic."""
        self._retries.labels(self._worker, topic).inc()

    def dead_letter(self, topic: str, code: str) -> None:
        """Count a record that was sent to a dead-letter topic."""
        self._dead_letters.labels(self._worker, topic, code).inc()

    def set_consumer_lag(self, lag: Mapping[str, int]) -> None:
        """Set the consumer lag in records, by topic."""
        for topic, records in lag.items():
            self._consumer_lag.labels(self._worker, topic).set(records)

    def add_waiting_seconds(self, seconds: float) -> None:
        """Count seconds of waiting for an unavailable dependency."""
        self._waiting_seconds.labels(self._worker).inc(seconds)

    def index(self, points: int, unindexed: int, size: int | None) -> None:
        """Set the size of the index in points and, if known, in bytes."""
        self._points.labels(self._worker).set(points)
        self._unindexed.labels(self._worker).set(unindexed)
        if size is not None:
            self._index_bytes.labels(self._worker).set(size)


class ItemMetrics:
    """Metrics of item events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._items = Counter(
            "lookstream_items", "Item events by outcome.", ("outcome", "source"), registry=registry
        )
        self._pictures = Counter(
            "lookstream_pictures", "Pictures of items: new, unchanged or skipped.", ("result",), registry=registry
        )
        self._steps = Histogram(
            "lookstream_item_step_seconds",
            "Seconds of a step for the batch of an indexed item, once for each item.",
            ("step",),
            buckets=SECONDS,
            registry=registry,
        )
        self._searchable = Histogram(
            "lookstream_event_to_searchable_seconds",
            "Seconds from an event until its item is searchable.",
            ("source",),
            buckets=SECONDS,
            registry=registry,
        )

    def item(self, outcome: str, source: str) -> None:
        """Count the outcome of an event."""
        self._items.labels(outcome, source).inc()

    def pictures(self, result: str, number: int) -> None:
        """Count pictures of items by result."""
        self._pictures.labels(result).inc(number)

    def step(self, step: str, seconds: float) -> None:
        """Record the duration of a step in seconds."""
        self._steps.labels(step).observe(seconds)

    def searchable(self, source: str, seconds: float) -> None:
        """Record the seconds from an item's event until the item was searchable."""
        self._searchable.labels(source).observe(seconds)


class SearchMetrics:
    """Metrics of search requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results = Counter("lookstream_search_results", "Results.", ("status", "code"), registry=registry)
        self._steps = Histogram(
            "lookstream_search_step_seconds",
            "Seconds of a step for the batch of a search, once for each search.",
            ("step",),
            buckets=SECONDS,
            registry=registry,
        )
        self._seconds = Histogram(
            "lookstream_search_seconds",
            "Seconds of all steps of a search, with the wait in Kafka.",
            buckets=SECONDS,
            registry=registry,
        )
        self._confidence = Histogram(
            "lookstream_search_confidence", "Confidence of first hits.", buckets=SHARES, registry=registry
        )

    def result(self, status: str, code: str) -> None:
        """Count a result; `code` is the reason of a rejection, else empty."""
        self._results.labels(status, code).inc()

    def steps(self, seconds: Mapping[str, float]) -> None:
        """Record the duration of each step of a search in seconds, and their sum."""
        for step, duration in seconds.items():
            self._steps.labels(step).observe(duration)
        self._seconds.observe(sum(seconds.values()))

    def confidence(self, share: float) -> None:
        """Record the confidence of a first hit."""
        self._confidence.observe(share)
