"""The cost of ten thousand standing searches: matching a batch with all of them, against embedding its pictures."""

import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from consumers.embedding.moderation import ALLOW_ALL
from consumers.indexing.item_update import ItemEvents, merge_item
from consumers.indexing.watches.watch_matrix import WatchMatcher, WatchMatrix
from consumers.indexing.writes import WriteSet
from consumers.points.stored_item import StoredState
from consumers.scoring.calibrator import ITEM_SYNC_POINTS, Calibrator
from consumers.vision.embedder import ImageEmbedder
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import point_ids
from schemas.envelope import to_bytes
from schemas.filters import Filters
from schemas.ranking import INTENTS
from schemas.results import QueryLook
from schemas.watches import Watch
from tests.benchmarks.synthetic_points import (
    TENANT,
    EncodedPictures,
    Labelled,
    SyntheticPoints,
    make_synthetic_points,
)

WATCHES, BATCH, ROUNDS = 10_000, 64, 9
CALIBRATED_ON = 4_000
"""Points of the index whose calibration is used."""
MIN_CONFIDENCE = 0.9


@dataclass(frozen=True)
class WatchMatching:
    """Medians of interleaved rounds, in milliseconds for a batch of `pictures`."""

    watches: int
    pictures: int
    looking_ms: float
    matching_ms: float
    matches: float
    """Matches of a picture, on average."""

    @property
    def share(self) -> float:
        """The share of matching in the sum of both."""
        return self.matching_ms / (self.matching_ms + self.looking_ms)


def measure_watch_matching(
    encoded: EncodedPictures, labelled: Labelled, embedder: ImageEmbedder, folder: Path, points: int
) -> WatchMatching:
    """Embed batches and match others, in turn; the watches are for other copies of the same pictures.

    There are WATCHES watches and CALIBRATED_ON points in the index, or `points` of each if this is less.
    """
    calibrated_on, watches = min(CALIBRATED_ON, points), min(WATCHES, points)
    synthetic = make_synthetic_points(encoded, calibrated_on + ROUNDS * BATCH, np.random.default_rng(3))
    folder.mkdir()
    with closing(Shard(folder, 0)) as shard:
        shard.open(encoded.fingerprint, synthetic.vectors.shape[1])
        synthetic.write(shard, 0, calibrated_on, lambda _count: None)
        confidence = Calibrator(shard, embedder.embed, encoded.parts, at_once=ITEM_SYNC_POINTS)
        watchlist = WatchMatrix(encoded.fingerprint, synthetic.vectors.shape[1], encoded.parts)
        for each in _watches(encoded, watches):
            watchlist.apply(each.key, to_bytes(each))
        standing = WatchMatcher(watchlist.rows, confidence)
        standing.match(_batch(synthetic, 0))  # which calibrates, and makes the matrix
        looking, matching, found = list[float](), list[float](), 0
        for turn in range(ROUNDS):
            start = turn * BATCH % max(1, len(labelled) - BATCH)
            pictures = [picture for picture, _ in labelled[start : start + BATCH]]
            looking.append(_timed(partial(embedder.embed, pictures)))
            batch = _batch(synthetic, calibrated_on + turn * BATCH)
            matching.append(_timed(partial(standing.match, batch)))
            found += sum(map(len, standing.match(batch).values()))
    took = [round(statistics.median(each), 1) for each in (looking, matching)]
    return WatchMatching(watches, len(pictures), took[0], took[1], round(found / ROUNDS / BATCH, 2))


def _watches(encoded: EncodedPictures, count: int) -> list[Watch]:
    """One for each of some pictures, with the four intents in turn; a third of them has a filter."""
    intents = [*INTENTS.values()]
    return [
        Watch(
            watch_id=f"w{n}",
            tenant=TENANT,
            look=QueryLook(vector=look.vector.astype("<f4").tobytes(), studio=look.studio),
            encoder=encoded.fingerprint,
            weights=intents[n % len(intents)],
            filters=Filters(price_max=50, currency="EUR") if n % 3 == 0 else Filters(),
            min_confidence=MIN_CONFIDENCE,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for n, look in ((n, encoded.looks[n % len(encoded.looks)]) for n in range(count))
    ]


def _batch(synthetic: SyntheticPoints, first: int) -> list[WriteSet]:
    points = [synthetic.point(number) for number in range(first, first + BATCH)]
    items = [ItemEvents(TENANT, f"c{n}", (), point_ids(TENANT, f"c{n}")) for n in range(first, first + BATCH)]
    entries = [merge_item(item, StoredState(), ALLOW_ALL) for item in items]
    return [WriteSet(entry, {0: point}) for entry, point in zip(entries, points, strict=True)]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
