"""Arrivals: send the demo's items, and wait until they are searchable."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader
from producers.catalog import CatalogFormat, read_items
from producers.column_mapping import choose_columns
from producers.demo.catalogue import Catalogue
from producers.feed_item import FeedItem
from producers.image_packer import ImagePacker
from producers.image_refs import FolderImages
from schemas.envelope import Event, from_bytes
from schemas.items import ItemUpserted, item_key
from schemas.outcomes import ItemBlocked, ItemIndexed, ItemOutcome, ItemRejected, ItemSuperseded
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES

TENANT = "demo"
"""A separate tenant keeps the demo's items apart from the user's own."""

SILENCE_SECONDS = 60.0
"""Maximum time between two outcomes before the wait is abandoned."""


@dataclass
class Arrivals:
    """Collects the outcomes of the demo's items from their topic; open it before the items are sent."""

    reader: TopicReader
    outcomes: dict[str, ItemOutcome] = field(default_factory=dict)
    """The last outcome of each item, by item id."""

    def await_items(self, items: Iterable[str]) -> set[str]:
        """Wait until all items have an outcome; returns those without one when none came for SILENCE_SECONDS."""
        pending = set(items) - self.outcomes.keys()
        last_outcome_at = time.monotonic()
        while pending and time.monotonic() - last_outcome_at < SILENCE_SECONDS:
            outcome = _demo_outcome(self.reader.poll(0.2))
            if outcome is not None and outcome.item_id is not None:
                last_outcome_at = time.monotonic()
                self.outcomes[outcome.item_id] = outcome
                pending.discard(outcome.item_id)
        return pending

    def close(self) -> None:
        self.reader.close()

    def expect_again(self, item: str) -> None:
        """Discard the outcome of an item, so that `await_items` waits for the next one."""
        self.outcomes.pop(item, None)

    def missing(self, items: Iterable[str]) -> tuple[str, ...]:
        """The items that are not searchable, each with the reason."""
        outcomes = ((item, self.outcomes.get(item)) for item in items)
        return tuple(
            f"{item}: {_describe_failure(outcome)}"
            for item, outcome in outcomes
            if not isinstance(outcome, ItemIndexed)
        )

    def indexed(self, items: Iterable[str]) -> list[ItemIndexed]:
        """The outcomes of the items that are searchable."""
        outcomes = (self.outcomes.get(item) for item in items)
        return [outcome for outcome in outcomes if isinstance(outcome, ItemIndexed)]


def open_arrivals(kafka: KafkaSettings) -> Arrivals:
    """Start to read outcomes at the end of the topic."""
    return Arrivals(TopicReader(kafka, ITEM_OUTCOMES))


def _demo_outcome(record: Record | None) -> ItemOutcome | None:
    if record is None or record.value is None or not (record.key or b"").startswith(f"{TENANT}:".encode()):
        return None
    body = from_bytes(record.value)
    return body if isinstance(body, ItemOutcome) else None


def _describe_failure(outcome: ItemOutcome | None) -> str:
    match outcome:
        case None:
            return "no outcome came"
        case ItemRejected():
            return outcome.message
        case ItemBlocked():
            return "blocked by moderation"
        case ItemSuperseded():
            return "superseded by a newer event"
        case _:
            return "removed"


def latencies(indexed: Iterable[ItemIndexed]) -> list[float]:
    """Milliseconds from event time to searchable, for the outcomes that have both times."""
    times = (outcome.times for outcome in indexed)
    pairs = ((t.event_time, t.searchable_at) for t in times)
    return [(end - start).total_seconds() * 1000 for start, end in pairs if start and end]


def bulk_seconds(indexed: Iterable[ItemIndexed]) -> float:
    """Seconds from the first event until the last one is searchable; 0 if the outcomes have no times."""
    times = [outcome.times for outcome in indexed]
    starts = [t.event_time for t in times if t.event_time]
    ends = [t.searchable_at for t in times if t.searchable_at]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0


def send_one_by_one(kafka: KafkaSettings, catalogue: Catalogue, skip: int, arrivals: Arrivals) -> None:
    """Send the products after the first `skip`, each one only when the previous one has an outcome."""
    sink = EventSink(kafka)
    try:
        for item in islice(_items(catalogue), skip, None):
            sink.send(CATALOG_ITEMS, item_key(TENANT, item.item_id), Event(item))
            sink.flush()
            arrivals.await_items([item.item_id])
    finally:
        sink.close()


def _items(catalogue: Catalogue) -> Iterator[ItemUpserted]:
    path = catalogue.products_file
    locate = FolderImages(catalogue.folder, ImagePacker(tenant=TENANT))
    catalog_format = CatalogFormat(choose_columns(path, ()), locate, TENANT)
    items = (row.event for row in read_items(path, catalog_format) if isinstance(row, FeedItem))
    return (event for event in items if isinstance(event, ItemUpserted))
