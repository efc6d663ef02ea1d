"""The item indexer without real pictures, and wrappers of an index: interleaved writes, locks, failed writes."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.region_policy import NO_REGIONS, RegionPolicy
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.quality.evaluation.in_process import Outbox
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.vision.embedder import DEFAULT_OPTIONS, EmbedOptions
from consumers.vision.look import Look, RegionLook
from infra.qdrant.contract import Index
from infra.qdrant.embedded.shard import Shard
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater, Unavailable
from schemas.items import ImageRef, Objects
from schemas.outcomes import ItemOutcome
from schemas.searches import Crop
from tests.consumers.item_histories import BAD, SIZE, SLOW, data_of, things_in, vector_of

ENCODER = "canned:1"


@dataclass
class HashPictures:
    """Fetches and embeds without a network or an encoder: a look is made of the hash of the bytes."""

    fetched: list[bytes] = field(default_factory=list)
    looked: list[bytes] = field(default_factory=list)
    begun: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], object] = list
    """Called during each embedding."""

    def fetch(self, refs: Sequence[ImageRef]) -> Iterator[dict[int, bytes | Failure]]:
        found = [self._fetch(data_of(ref)) for ref in refs]
        self.fetched += map(data_of, refs)
        yield dict(enumerate(found))

    def begin(self, pairs: Sequence[tuple[str, ImageRef]]) -> None:
        self.begun += [data_of(ref) for _, ref in pairs]

    def fetch_waves(self, pairs: Sequence[tuple[str, ImageRef]]) -> Iterator[dict[int, bytes | Failure]]:
        return self.fetch([ref for _, ref in pairs])

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), options: EmbedOptions = DEFAULT_OPTIONS
    ) -> list[Look | Failure]:
        self.looked += pictures
        self.meanwhile()
        bad = Rejected(Code.IMAGE_UNREADABLE, "not a picture")
        return [bad if data.startswith(BAD) else _look_of(data, options.objects) for data in pictures]

    def _fetch(self, data: bytes) -> bytes | Failure:
        late = data.startswith(SLOW) and data not in self.fetched
        return TryLater(Code.IMAGE_TIMEOUT, "slow") if late else data


def _look_of(data: bytes, objects: Objects) -> Look:
    """The look of a picture: each thing in it has a box of its own, and a look that is made of the same bytes."""
    regions = tuple(
        RegionLook(Crop(x=n / 8, y=0, w=1 / 8, h=0.5), 0.9, Look(vector_of(one), ("blue",), (), None, 8, 8))
        for n, one in enumerate(things_in(data, objects))
    )
    return Look(vector_of(data), ("red",), (), None, 8, 8, regions=regions)


@dataclass
class IndexerHarness:
    """The item indexer on an index, with its sent events and its pictures."""

    job: ItemIndexer
    index: Index
    outbox: Outbox
    hash_pictures: HashPictures

    def handle(self, *events: Event) -> dict[str, Failure]:
        """Handle a batch; every event must get exactly one outcome or failure."""
        failures = self.job.handle(events)
        event_ids = [outcome.event_id for outcome in self.outcomes()]
        assert sorted([*event_ids, *failures]) == sorted({event.id for event in events})
        return failures

    def outcomes(self) -> list[ItemOutcome]:
        """The outcomes since the last call."""
        return [body for event in self.outbox.take() if isinstance(body := event.body, ItemOutcome)]


def open_indexer(
    index: Index,
    hash_pictures: HashPictures | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    reports_outcomes: Callable[[datetime], bool] = lambda _time: True,
    regions: RegionPolicy = NO_REGIONS,
) -> IndexerHarness:
    """An item indexer on an open index for vectors of SIZE; it predicts no categories, as nothing is calibrated."""
    hash_pictures, outbox = hash_pictures or HashPictures(), Outbox()
    enrichers = enrichers_of(index, Calibrator(index, hash_pictures.embed, LookParts(4, 2)))
    pipeline = ImagePipeline(
        hash_pictures.fetch, hash_pictures.embed, ENCODER, prefetch=hash_pictures, regions=regions
    )
    return IndexerHarness(
        ItemIndexer(pipeline, index, enrichers, OutcomePublisher(outbox, reports_outcomes), now),
        index,
        outbox,
        hash_pictures,
    )


def open_shard(folder: Path) -> Shard:
    """The embedded engine in this process, open for looks of HashPictures."""
    shard = Shard(folder, 0)
    shard.open(ENCODER, SIZE)
    return shard


@dataclass
class Worker:
    """Hands batches to the indexer, and keeps the events that must be tried again."""

    harness: IndexerHarness
    refused: set[str] = field(default_factory=set)
    later: dict[str, Event] = field(default_factory=dict)

    def take(self, batch: Sequence[Event]) -> None:
        failures = self.harness.handle(*batch)
        for event in batch:
            failure = failures.get(event.id)
            self.later.pop(event.id, None)
            if isinstance(failure, TryLater):
                self.later[event.id] = event
            elif failure is not None:
                self.refused.add(event.id)

    def try_later(self) -> None:
        """Try the rest again until nothing changes."""
        before: set[str] = set()
        while self.later and self.later.keys() != before:
            before = set(self.later)
            self.take(list(self.later.values()))


class InterleavedIndex:
    """An index that calls `first` before each of its own calls."""

    def __init__(self, index: Index, first: Callable[[], None]) -> None:
        self._index = index
        self._first = first

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object) -> Any:
            self._first()
            return getattr(self._index, name)(*arguments)

        return call


class LockedIndex:
    """An index for several threads, one call at a time."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object) -> Any:
            with self._lock:
                return getattr(self._index, name)(*arguments)

        return call


def locked(index: Index) -> Index:
    """The index, safe for several threads."""
    return cast("Index", LockedIndex(index))


class FlakyIndex:
    """An index that fails in the middle of some writes, with a part of them done."""

    def __init__(self, index: Index, rng: random.Random, share: float) -> None:
        self._index = index
        self._chance = rng
        self._share = share

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._index, name)
        return partial(self._tear, method) if name in ("upsert", "patch", "remove") else method

    def _tear(self, write: Callable[[Any], None], things: Any) -> None:
        if self._chance.random() > self._share:
            return write(things)
        some = list(things)[: self._chance.randrange(len(things) + 1)]
        write({id: things[id] for id in some} if isinstance(things, dict) else some)
        raise Unavailable("torn")


def flaky(index: Index, rng: random.Random, share: float = 0.3) -> Index:
    """The index, which fails in the middle of this share of its writes."""
    return cast("Index", FlakyIndex(index, rng, share))


def interleaved(index: Index, first: Callable[[], None]) -> Index:
    """The index, with a call of `first` before each of its calls."""
    return cast("Index", InterleavedIndex(index, first))
