"""Send items over Kafka, all at once or at a rate, and measure when each became searchable."""

import itertools
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, TopicReader
from schemas.envelope import Event, from_bytes
from schemas.items import InlineImage, ItemUpserted, item_key
from schemas.outcomes import ItemIndexed
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES
from tests.benchmarks.fresh_bytes import new
from tests.benchmarks.search_load import percentiles

SILENCE_SECONDS = 60.0
"""Without a new searchable item for so long, the rest is given up."""
AHEAD = 128
"""Items that wait for the index worker: two of its batches."""


@dataclass(frozen=True)
class ItemLoadResult:
    """The result of a load of items."""

    items: int
    indexed: int
    rate: float
    """Items a second, from the first one's event to the last one searchable."""
    fresh: list[float]
    """Milliseconds from an event until its item was searchable: p50, p95, p99."""


def send_items(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, rate: float | None = None
) -> ItemLoadResult:
    """Send a new item for each picture, all at once or `rate` a second; wait until all are searchable."""
    with closing(TopicReader(kafka, ITEM_OUTCOMES)) as outcomes, closing(EventSink(kafka)) as sink:
        started = time.time()
        for number, picture in enumerate(pictures):
            if rate is not None:
                time.sleep(max(0.0, started + number / rate - time.time()))
            send_item(sink, picture, tenant)
        sink.flush()
        done = list(indexed(outcomes, tenant, len(pictures)))
    times = [one.times for one in done if one.times.searchable_at and one.times.event_time]
    ended = max((one.searchable_at.timestamp() for one in times if one.searchable_at), default=started)
    fresh = [
        (one.searchable_at - one.event_time).total_seconds() * 1000
        for one in times
        if one.searchable_at and one.event_time
    ]
    return ItemLoadResult(
        len(pictures), len(done), round(len(done) / max(ended - started, 1e-9), 2), percentiles(fresh)
    )


@dataclass
class IndexedCount:
    """Counts what an index worker that always has work has indexed."""

    started: float = field(default_factory=time.monotonic)
    indexed: int = 0

    @property
    def rate(self) -> float:
        """Items a second so far."""
        return round(self.indexed / (time.monotonic() - self.started), 2)


@contextmanager
def keep_worker_busy(kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str) -> Iterator[IndexedCount]:
    """Have items wait for the index worker at all times until the block ends."""
    counter, stop = IndexedCount(), threading.Event()
    thread = threading.Thread(target=_keep_busy, args=(kafka, pictures, tenant, counter, stop))
    thread.start()
    try:
        yield counter
    finally:
        stop.set()
        thread.join()


def _keep_busy(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, counter: IndexedCount, stop: threading.Event
) -> None:
    sent, copies = 0, (new(picture) for picture in itertools.cycle(pictures))
    with closing(TopicReader(kafka, ITEM_OUTCOMES)) as outcomes, closing(EventSink(kafka)) as sink:
        while not stop.is_set():
            while sent - counter.indexed < AHEAD:
                send_item(sink, next(copies), tenant)
                sent += 1
            sink.flush()
            record = outcomes.poll(0.1)
            if record is not None and record.value is not None:
                body = from_bytes(record.value)
                counter.indexed += isinstance(body, ItemIndexed) and body.tenant == tenant


def send_item(sink: EventSink, picture: bytes, tenant: str) -> None:
    """Send the event of a new item with this picture."""
    item = f"fed-{uuid.uuid4().hex}"
    image = InlineImage(data=picture)
    body = ItemUpserted(tenant=tenant, item_id=item, source="catalog", revision=1, images=(image,))
    sink.send(CATALOG_ITEMS, item_key(tenant, item), Event(body))


def indexed(outcomes: TopicReader, tenant: str, count: int) -> Iterator[ItemIndexed]:
    """The outcomes of `count` items of a tenant; fewer if none comes for SILENCE_SECONDS."""
    found, heard = 0, time.monotonic()
    while found < count and time.monotonic() - heard < SILENCE_SECONDS:
        record = outcomes.poll(0.2)
        body = from_bytes(record.value) if record is not None and record.value is not None else None
        if isinstance(body, ItemIndexed) and body.tenant == tenant:
            found, heard = found + 1, time.monotonic()
            yield body
