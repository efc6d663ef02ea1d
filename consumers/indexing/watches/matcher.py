"""Matching: which standing searches the newly looked-at pictures of a batch are what they look for."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from consumers.indexing.item_update import ItemUpdate
from consumers.indexing.watches.watch_matrix import WatchRows
from consumers.indexing.writes import WriteSet
from consumers.points.payload import hit
from consumers.runtime.ports import Sink
from consumers.scoring.calibration import Floats
from consumers.scoring.calibrator import Calibrator
from infra.qdrant.condition_eval import all_hold
from infra.qdrant.contract import Point, ScoredPoint
from schemas.envelope import Event
from schemas.items import item_key
from schemas.topics import SEARCH_MATCHES
from schemas.watches import Watch, WatchMatched

NAMESPACE = uuid.UUID("b1c7a9de-3f58-5f0e-9a41-7c2d0e6f8b35")
"""Makes the ids of matches unlike those of other events."""

Fresh = tuple[ItemUpdate, Point]
"""A new point of an item, with its look."""


@dataclass(frozen=True)
class WatchMatch:
    """A standing search, and the best of an item's new pictures for it."""

    watch: Watch
    point: Point
    score: float
    confidence: float


class WatchMatcher:
    """Compares new points with standing searches; `rows` gives those of a tenant."""

    def __init__(self, rows: Callable[[str], WatchRows | None], confidence: Calibrator) -> None:
        self._rows = rows
        self._confidence = confidence

    def match(self, changes: Sequence[WriteSet]) -> Mapping[ItemUpdate, Sequence[WatchMatch]]:
        """What items with new looks match that they did not match before; raises Unavailable."""
        tenants = defaultdict[str, list[Fresh]](list)
        for each in changes:
            looked = [point for point in each.points.values() if point.vector is not None]
            tenants[each.entry.tenant] += [(each.entry, point) for point in looked]
        matches = defaultdict[ItemUpdate, list[WatchMatch]](list)
        for tenant, fresh in tenants.items():
            if fresh and (rows := self._rows(tenant)) is not None:
                for entry, match in self._matches(tenant, rows, fresh):
                    matches[entry].append(match)
        return matches

    def _matches(
        self, tenant: str, rows: WatchRows, fresh: Sequence[Fresh]
    ) -> Iterator[tuple[ItemUpdate, WatchMatch]]:
        looks = np.stack([point.vector for _, point in fresh if point.vector is not None])
        scores = rows.queries @ looks.T
        confidences = self._confidences(tenant, rows, scores)
        best: dict[tuple[int, ItemUpdate], int] = {}
        for row, at in np.argwhere(confidences >= rows.least[:, None]).tolist():
            entry, point = fresh[at]
            rival = best.get((row, entry))
            if rival is not None and scores[row, rival] >= scores[row, at]:
                continue
            if rows.marks[row] not in entry.told and all_hold(rows.wanted[row], point.payload):
                best[row, entry] = at
        for (row, entry), at in best.items():
            score, confidence = float(scores[row, at]), float(confidences[row, at])
            yield entry, WatchMatch(rows.watches[row], fresh[at][1], score, confidence)

    def _confidences(self, tenant: str, rows: WatchRows, scores: Floats) -> Floats:
        """float32 [n, m], as `scores`."""
        parts = []
        for kind in rows.kinds:
            curve = self._confidence.curve(tenant, kind.weights, studio=kind.studio)
            parts.append(curve.of(scores[kind.rows]))
        return np.concatenate(parts)


def publish_matches(
    sink: Sink, matches: Mapping[ItemUpdate, Sequence[WatchMatch]], tells: Callable[[datetime], bool]
) -> None:
    """Publish matches, and note in each entry which standing searches know of it. Raises Unavailable.

    Those of events that another index worker tells of are noted alone.

    All have arrived at the end: an item that is written as told must not lose its matches with this process.
    """
    for entry, found in matches.items():
        base = entry.folded.base
        for match in found if base is None or tells(base.event.time) else ():
            body = WatchMatched(
                watch_id=match.watch.watch_id,
                tenant=entry.tenant,
                hit=hit(
                    ScoredPoint(match.point.id, match.score, match.point.payload),
                    thumbnail=False,
                    confidence=match.confidence,
                ),
            )
            name = f"{match.watch.mark}\n{item_key(entry.tenant, entry.item_id)}"
            sink.send(SEARCH_MATCHES, match.watch.key, Event(body, id=str(uuid.uuid5(NAMESPACE, name))))
        entry.told = tuple(sorted({*entry.told, *(match.watch.mark for match in found)}))
    if matches:
        sink.flush()
