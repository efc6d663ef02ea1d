"""The job that indexes items, without real pictures, and indexes that others write to or that break off."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from consumers.embedding.pipeline import ImagePipeline
from consumers.indexing.enrichers import enrichers_of
from consumers.indexing.handler import ItemIndexer
from consumers.indexing.outcomes import OutcomePublisher
from consumers.quality.evaluation.in_process import Outbox
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from consumers.vision.embedder import Look
from infra.qdrant.contract import Index
from infra.qdrant.embedded.shard import Shard
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater, Unavailable
from schemas.items import ImageRef
from schemas.outcomes import ItemOutcome
from schemas.searches import Crop
from tests.consumers.histories import BAD, SIZE, SLOW, data_of, vector_of

ENCODER = "canned:1"


@dataclass
class Canned:
    """Fetches and looks without a network or an encoder: a look is made of the hash of the bytes."""

    fetched: list[bytes] = field(default_factory=list)
    looked: list[bytes] = field(default_factory=list)
    begun: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], object] = list
    """What happens while pictures are looked at."""

    def fetch(self, refs: Sequence[ImageRef]) -> Iterator[dict[int, bytes | Failure]]:
        found = [self._fetch(data_of(ref)) for ref in refs]
        self.fetched += map(data_of, refs)
        yield dict(enumerate(found))

    def begin(self, wanted: Sequence[tuple[str, ImageRef]]) -> None:
        self.begun += [data_of(ref) for _, ref in wanted]

    def fetch_waves(self, wanted: Sequence[tuple[str, ImageRef]]) -> Iterator[dict[int, bytes | Failure]]:
        return self.fetch([ref for _, ref in wanted])

    def embed(
        self, pictures: Sequence[bytes], crops: Sequence[Crop | None] = (), *, keypoints: int = 0
    ) -> list[Look | Failure]:
        self.looked += pictures
        self.meanwhile()
        bad = Rejected(Code.IMAGE_UNREADABLE, "not a picture")
        return [
            bad if data.startswith(BAD) else Look(vector_of(data), ("red",), (), None, 8, 8) for data in pictures
        ]

    def _fetch(self, data: bytes) -> bytes | Failure:
        late = data.startswith(SLOW) and data not in self.fetched
        return TryLater(Code.IMAGE_TIMEOUT, "slow") if late else data


@dataclass
class Shop:
    """The job on an index, with what it sends and what it sees."""

    job: ItemIndexer
    index: Index
    outbox: Outbox
    canned: Canned

    def handle(self, *events: Event) -> dict[str, Failure]:
        """Take a batch; every event must come to an outcome or a failure, and to one alone."""
        failures = self.job.handle(events)
        told = [outcome.event_id for outcome in self.outcomes()]
        assert sorted([*told, *failures]) == sorted({event.id for event in events})
        return failures

    def outcomes(self) -> list[ItemOutcome]:
        """Those since the last time."""
        return [body for event in self.outbox.take() if isinstance(body := event.body, ItemOutcome)]


def open_shop(
    index: Index,
    canned: Canned | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    reports_outcomes: Callable[[datetime], bool] = lambda _time: True,
) -> Shop:
    """A job on an open index for vectors of SIZE; nothing is predicted, for nothing is calibrated."""
    canned, outbox = canned or Canned(), Outbox()
    judges = enrichers_of(index, Calibrator(index, canned.embed, LookParts(4, 2)))
    sight = ImagePipeline(canned.fetch, canned.embed, ENCODER, prefetch=canned)
    return Shop(
        ItemIndexer(sight, index, judges, OutcomePublisher(outbox, reports_outcomes), now), index, outbox, canned
    )


def open_shard(folder: Path) -> Shard:
    """The embedded engine in this process, open for canned looks."""
    shard = Shard(folder, 0)
    shard.open(ENCODER, SIZE)
    return shard


@dataclass
class Worker:
    """Hands batches to the job, and keeps what is to be tried later."""

    shop: Shop
    refused: set[str] = field(default_factory=set)
    later: dict[str, Event] = field(default_factory=dict)

    def take(self, batch: Sequence[Event]) -> None:
        failures = self.shop.handle(*batch)
        for event in batch:
            failure = failures.get(event.id)
            self.later.pop(event.id, None)
            if isinstance(failure, TryLater):
                self.later[event.id] = event
            elif failure is not None:
                self.refused.add(event.id)

    def try_later(self) -> None:
        """Try what is left until that changes nothing."""
        before: set[str] = set()
        while self.later and self.later.keys() != before:
            before = set(self.later)
            self.take(list(self.later.values()))


class Between:
    """An index at each of whose calls something else happens first."""

    def __init__(self, index: Index, first: Callable[[], None]) -> None:
        self._index = index
        self._first = first

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object) -> Any:
            self._first()
            return getattr(self._index, name)(*arguments)

        return call


class Locked:
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
    """The index, for several threads."""
    return cast("Index", Locked(index))


class Torn:
    """An index that goes away in the middle of some writes: a part of each is done."""

    def __init__(self, index: Index, chance: random.Random, share: float) -> None:
        self._index = index
        self._chance = chance
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


def torn(index: Index, chance: random.Random, share: float = 0.3) -> Index:
    """The index, which goes away in the middle of this share of its writes."""
    return cast("Index", Torn(index, chance, share))


def between(index: Index, first: Callable[[], None]) -> Index:
    """The index, with something else happening before each of its calls."""
    return cast("Index", Between(index, first))
