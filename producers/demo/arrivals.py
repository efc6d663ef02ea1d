"""Sending items and waiting until they can be found: what became of each event."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record, TopicReader
from producers.catalog import CatalogFormat, read_catalog
from producers.column_mapping import choose_columns
from producers.demo.catalogue import Catalogue
from producers.image_refs import embed_from_folder
from schemas.envelope import Event, from_bytes
from schemas.items import ItemUpserted, item_key
from schemas.outcomes import ItemIndexed, ItemOutcome, ItemRejected, ItemRemoved
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES

TENANT = "demo"
"""The demo's items never mix with the user's own."""

SILENCE_SECONDS = 60.0
"""How long nothing may happen before the rest is given up."""


@dataclass
class Arrivals:
    """The outcomes of the demo's items, read as they come; open it before anything is sent."""

    reader: TopicReader
    outcomes: dict[str, ItemOutcome] = field(default_factory=dict)
    """The last outcome of each item, by item id."""

    def await_items(self, items: Iterable[str]) -> set[str]:
        """Wait until each of these items has an outcome; those without one when nothing came for long."""
        waiting = set(items) - self.outcomes.keys()
        heard = time.monotonic()
        while waiting and time.monotonic() - heard < SILENCE_SECONDS:
            outcome = _demo_outcome(self.reader.poll(0.2))
            if outcome is not None and outcome.item_id is not None:
                heard = time.monotonic()
                self.outcomes[outcome.item_id] = outcome
                waiting.discard(outcome.item_id)
        return waiting

    def close(self) -> None:
        """Let go of the broker."""
        self.reader.close()

    def forget(self, item: str) -> None:
        """Expect another outcome of an item that already had one."""
        self.outcomes.pop(item, None)

    def missing(self, items: Iterable[str]) -> tuple[str, ...]:
        """Those of the items that are not searchable, each with the reason."""
        reasons = ((item, self.outcomes.get(item)) for item in items)
        return tuple(f"{item}: {_reason(found)}" for item, found in reasons if not isinstance(found, ItemIndexed))

    def indexed(self, items: Iterable[str]) -> list[ItemIndexed]:
        """The outcomes of those items that are searchable."""
        found = (self.outcomes.get(item) for item in items)
        return [outcome for outcome in found if isinstance(outcome, ItemIndexed)]


def open_arrivals(kafka: KafkaSettings) -> Arrivals:
    """Outcomes from now on."""
    return Arrivals(TopicReader(kafka, ITEM_OUTCOMES))


def _demo_outcome(record: Record | None) -> ItemOutcome | None:
    if record is None or record.value is None or not (record.key or b"").startswith(f"{TENANT}:".encode()):
        return None
    body = from_bytes(record.value)
    return body if isinstance(body, ItemIndexed | ItemRemoved | ItemRejected) else None


def _reason(outcome: ItemOutcome | None) -> str:
    if isinstance(outcome, ItemRejected):
        return outcome.message
    return "removed" if isinstance(outcome, ItemRemoved) else "no outcome came"


def latencies(indexed: Iterable[ItemIndexed]) -> list[float]:
    """Milliseconds from event to searchable, of those outcomes that say both times."""
    times = (outcome.times for outcome in indexed)
    pairs = ((t.event_time, t.searchable_at) for t in times)
    return [(after - before).total_seconds() * 1000 for before, after in pairs if before and after]


def bulk_seconds(indexed: Iterable[ItemIndexed]) -> float:
    """Seconds from the first event to the last one being searchable; 0 when no outcome says."""
    times = [outcome.times for outcome in indexed]
    begun = [t.event_time for t in times if t.event_time]
    ended = [t.searchable_at for t in times if t.searchable_at]
    return (max(ended) - min(begun)).total_seconds() if begun and ended else 0.0


def send_one_by_one(kafka: KafkaSettings, catalogue: Catalogue, skip: int, arrivals: Arrivals) -> None:
    """Send the products after the first `skip`, each only when the one before it can be found."""
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
    reading = CatalogFormat(choose_columns(path, ()), embed_from_folder(catalogue.folder), TENANT)
    return (row for row in read_catalog(path, reading) if isinstance(row, ItemUpserted))
