"""The running system at a steady rate: searches by pictures, and how soon upserts and deletes take effect."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TypeVar

from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, TopicReader
from producers.demo.figures import LatencySpread, spread
from schemas.envelope import Event, from_bytes
from schemas.items import InlineImage, ItemDeleted, ItemUpserted, Objects, item_key
from schemas.outcomes import ItemIndexed, ItemRemoved
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES
from tests.benchmarks.fresh_bytes import new

Element = TypeVar("Element")

WARM_SEARCHES = 10
STEPS = ("queued", "fetched", "decoded", "encoded", "searched", "answered")
"""Steps of a search: those of the result's `times`, and from the last of them to the caller."""
PATIENCE_MS = 20_000
SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Searches:
    """Searches at a steady rate; milliseconds from the time at which each was due."""

    sent: int
    answered: int
    whole: LatencySpread
    looked: LatencySpread
    """Decoding and encoding."""
    beyond: LatencySpread
    """All the rest."""
    steps: Mapping[str, LatencySpread]
    """Each of STEPS."""


@dataclass(frozen=True)
class Fresh:
    """Milliseconds from the time of an event until the index had it."""

    events: int
    done: int
    times: LatencySpread


@dataclass(frozen=True)
class Queries:
    """Searches of a tenant by these pictures in turn, and which things in them are searched for."""

    pictures: Sequence[bytes]
    tenant: str
    objects: Objects = "none"

    def take(self, count: int) -> Iterator[SearchRequest]:
        """The first so many, each by a picture that is new to the worker."""
        for picture in islice(cycle(self.pictures), count):
            yield SearchRequest(
                request_id=uuid.uuid4().hex,
                tenant=self.tenant,
                image=InlineImage(data=new(picture)),
                deadline_ms=PATIENCE_MS,
                objects=self.objects,
            )


def search_steadily(kafka: KafkaSettings, queries: Queries, rate: float, count: int) -> Searches:
    """So many searches, `rate` a second, after a few to warm up."""
    wholes, looked, answered = list[float](), list[float](), 0
    steps: dict[str, list[float]] = {name: [] for name in STEPS}
    with SearchClient(kafka) as client:
        for request in queries.take(WARM_SEARCHES):
            client.search(request)
        for due, request in _paced(queries.take(count), rate):
            result: SearchResult = client.search(request)
            wholes.append((time.monotonic() - due) * 1000)
            looked.append(result.times.decoded + result.times.encoded)
            durations = result.times.model_dump()
            durations["answered"] = max(0.0, wholes[-1] - sum(durations.values()))
            for name in STEPS:
                steps[name].append(durations[name])
            answered += result.status in ("ok", "no_match")
    beyond = [whole - look for whole, look in zip(wholes, looked, strict=True)]
    spreads = {name: spread(times) for name, times in steps.items()}
    return Searches(count, answered, spread(wholes), spread(looked), spread(beyond), spreads)


def put_steadily(
    kafka: KafkaSettings, pictures: Sequence[bytes], tenant: str, rate: float, count: int
) -> tuple[Fresh, Fresh]:
    """So many new items, then their deletes, `rate` a second each."""
    items = [f"fresh-{uuid.uuid4().hex}" for _ in range(count)]
    image_of = dict(zip(items, cycle(pictures), strict=False))
    base = time.time_ns() // 1000

    def upsert(item: str) -> ItemUpserted:
        image = InlineImage(data=image_of[item])
        return ItemUpserted(tenant=tenant, item_id=item, source="catalog", revision=base, images=(image,))

    def delete(item: str) -> ItemDeleted:
        return ItemDeleted(tenant=tenant, item_id=item, source="catalog", revision=base + 1)

    with closing(TopicReader(kafka, ITEM_OUTCOMES)) as outcomes, closing(EventSink(kafka)) as sink:
        return (
            _follow(sink, outcomes, items, upsert, rate, ItemIndexed),
            _follow(sink, outcomes, items, delete, rate, ItemRemoved),
        )


def _follow(
    sink: EventSink,
    outcomes: TopicReader,
    items: Sequence[str],
    event: Callable[[str], ItemUpserted | ItemDeleted],
    rate: float,
    outcome_type: type[ItemIndexed] | type[ItemRemoved],
) -> Fresh:
    """Send an event for each item, and read when the index had it."""
    for _, item in _paced(iter(items), rate):
        item_event = event(item)
        sink.send(CATALOG_ITEMS, item_key(item_event.tenant, item), Event(item_event))
        sink.producer.poll(0)
    sink.flush()
    times: dict[str, float] = {}
    heard = time.monotonic()
    while len(times) < len(items) and time.monotonic() - heard < SILENCE_SECONDS:
        record = outcomes.poll(0.2)
        body = from_bytes(record.value) if record is not None and record.value is not None else None
        if isinstance(body, outcome_type) and body.times.searchable_at and body.times.event_time:
            heard = time.monotonic()
            times[body.item_id] = (body.times.searchable_at - body.times.event_time).total_seconds() * 1000
    return Fresh(len(items), len(times), spread(list(times.values())))


def _paced(elements: Iterator[Element], rate: float) -> Iterator[tuple[float, Element]]:
    """Yield each element when it is due, with that time; late ones at once."""
    started = time.monotonic()
    for number, element in enumerate(elements):
        due = started + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        yield due, element
