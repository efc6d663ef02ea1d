"""Events in any order, in batches of any size, repeated, and up to a week late."""

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, zip_longest
from pathlib import Path

import structlog

from consumers.indexing.handler import TOMBSTONE_COLLECTION_HOURS, TOMBSTONE_DAYS
from consumers.points.payload import KNOWN_KEYS
from infra.qdrant.contract import Patch, Payload, Point
from infra.qdrant.embedded.shard import Shard
from schemas.envelope import Event
from tests.chaos.scenario import NO_BROKER, Report, Scenario, Size
from tests.consumers.indexer_harness import ENCODER, Worker, open_indexer
from tests.consumers.item_histories import KINDS, PICKS, SIZE, delete, delivered, event_of, expected, held, upsert

EVENTS, ITEMS = 20, 2
"""Of one history."""
TOGETHER = 50
"""Histories that are processed together, so that batches have a usual size."""
BATCH = 64
HOUR, WEEK = timedelta(hours=TOMBSTONE_COLLECTION_HOURS), timedelta(days=TOMBSTONE_DAYS)


class UncheckedIndex(Shard):
    """The embedded engine without conditions on versions; to workers it looks empty."""

    _versions = count(1)

    def payloads(self, ids: Sequence[str], keys: Sequence[str]) -> dict[str, Payload]:
        """Empty for the keys that a worker reads to decide; the stored payloads for other keys."""
        return {} if tuple(keys) == KNOWN_KEYS else super().payloads(ids, keys)

    def upsert(self, points: Sequence[Point]) -> None:
        """Write the points whatever is there."""
        super().upsert(
            [replace(point, payload={**point.payload, "version": next(self._versions)}) for point in points]
        )

    def patch(self, patches: Sequence[Patch]) -> None:
        """Change payloads whatever is there."""
        super().patch(
            [replace(each, payload={**each.payload, "version": next(self._versions)}) for each in patches]
        )

    def remove(self, versions: Mapping[str, int]) -> None:
        """Remove points whatever is there."""
        super().remove(dict.fromkeys(versions, next(self._versions)))

    def _newest(self, payload: Payload) -> Payload:
        return {**payload, "version": next(self._versions)}


@dataclass
class Bench:
    """A worker on its own shard, with a clock that a test sets."""

    shard: Shard
    rng: random.Random
    moved: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.worker = Worker(open_indexer(self.shard, now=lambda: datetime.now(UTC) + self.moved))

    def take(self, events: Sequence[Event]) -> None:
        """Handle events, so many at a time as a worker would."""
        for start in range(0, len(events), BATCH):
            self.worker.take(events[start : start + BATCH])

    def wrong(self, events: Sequence[Event], items: Sequence[str]) -> int:
        """The number of items that differ from the model of their events."""
        required, found = expected(events), held(self.shard, items)
        return sum(found.get(item) != required.get(item) for item in items)


def run(folder: Path, size: Size) -> Report:
    """Histories, batches that tell of one item again and again, and events that come after a delete."""
    return _run(Shard(folder, 0), size)


def control(folder: Path, size: Size) -> Report:
    """The same on an index that takes every write."""
    return _run(UncheckedIndex(folder, 0), replace(size, share=size.share / 10))


def _run(shard: Shard, size: Size) -> Report:
    report = Report()
    shard.open(ENCODER, SIZE)
    bench = Bench(shard, random.Random(size.seed))
    with report.timed(), _quiet():
        _histories(bench, report, size.of(2_000))
        _one_item_again_and_again(bench, report, size.of(10_000))
        _after_deletes(bench, report, size.of(5_000))
    shard.close()
    return report


def _histories(bench: Bench, report: Report, histories: int) -> None:
    wrong = events = 0
    for first in range(0, histories, TOGETHER):
        written = [_history(f"h{n}", bench.rng) for n in range(first, min(first + TOGETHER, histories))]
        for batches in zip_longest(*(delivered(one, bench.rng) for one in written), fillvalue=[]):
            bench.worker.take([event for batch in batches for event in batch])
        bench.worker.try_later()
        bench.worker.later.clear()
        for n, one in enumerate(written, start=first):
            wrong += bench.wrong(one, [f"h{n}-{item}" for item in range(ITEMS)]) > 0
            events += len(one)
    report.figures |= {"histories": histories, "events in them": events}
    report.expect("histories that came to something else", wrong, 0)


def _history(name: str, rng: random.Random) -> list[Event]:
    revisions = rng.sample(range(1, 200), EVENTS)
    picks = [(rng.randrange(ITEMS), rng.choice(KINDS), rng.randrange(PICKS)) for _ in revisions]
    return [
        event_of((f"{name}-{item}", kind, r, pick)) for r, (item, kind, pick) in zip(revisions, picks, strict=True)
    ]


def _one_item_again_and_again(bench: Bench, report: Report, batches: int) -> None:
    wrong = 0
    for n in range(batches):
        item, revisions = f"b{n}", bench.rng.sample(range(1, 100), 3)
        batch = [
            upsert(item, revisions[0], b"red"),
            delete(item, revisions[1]),
            upsert(item, revisions[2], b"blue"),
        ]
        bench.rng.shuffle(batch)
        bench.worker.take(batch)
        wrong += bench.wrong(batch, [item])
    report.figures["batches with one item three times"] = batches
    report.expect("of these items wrong", wrong, 0)


def _after_deletes(bench: Bench, report: Report, items: int) -> None:
    """Upserts that are late by less than a week, by a week, and by more than that."""
    names = [f"d{n}" for n in range(items)]
    back = [upsert(name, 9, b"blue") for name in names[::3]]
    written = [*(upsert(name, 1, b"red") for name in names), *(delete(name, 5) for name in names), *back]
    late = [upsert(name, 3, b"green") for name in names]
    bench.take(written)
    resurrected = 0
    for moment in (timedelta(), WEEK - HOUR):
        bench.moved = moment
        bench.worker.harness.job.idle()
        bench.take(late)
        resurrected += bench.wrong(written, names)
    report.figures |= {"items deleted": items, "items that had come back by a newer event": len(back)}
    report.expect("items that late upserts brought back, or changed", resurrected, 0)
    bench.moved = WEEK + HOUR
    bench.worker.harness.job.idle()
    forgotten = len(names) - len(held(bench.shard, names))
    report.expect("tombstones forgotten after a week", forgotten, len(names) - len(back))
    report.expect("items alive that were forgotten", bench.wrong(back, names[::3]), 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """A line for each batch would be too much."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        yield
    finally:
        structlog.reset_defaults()


SCENARIO = Scenario(
    name="order",
    promise=(
        "2,000 histories of 20 events in any order, repeated and cut into batches anywhere, come to what their "
        "revisions say; so do 10,000 batches that tell of one item three times; of 5,000 deleted items none comes "
        "back by an upsert that is late by less than a week"
    ),
    run=run,
    control=control,
    short=0.02,
    brokers=NO_BROKER,
)
