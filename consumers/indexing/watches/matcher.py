"""Watch matching: find the watches that the newly embedded pictures of a batch match, and publish the matches."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from consumers.indexing.item_update import ItemUpdate
from consumers.indexing.watches.watch_matrix import WatchRows
from consumers.indexing.writes import WriteSet
from consumers.points.payload import HitConfidence, hit_of
from consumers.runtime.ports import Sink
from consumers.scoring.calibrator import Calibrator
from infra.array_types import Floats
from infra.qdrant.condition_eval import satisfies_all
from infra.qdrant.contract import Point, ScoredPoint
from schemas.envelope import Event
from schemas.topics import SEARCH_MATCHES
from schemas.watches import Watch, WatchMatched

NAMESPACE = uuid.UUID("b1c7a9de-3f58-5f0e-9a41-7c2d0e6f8b35")
"""UUID namespace that makes the ids of matches differ from those of other events."""

NewPoint = tuple[ItemUpdate, Point]
"""An item, and one of its new points, which has a look."""


@dataclass(frozen=True)
class WatchMatch:
    """A watch, and the item's new picture that matches it best."""

    watch: Watch
    point: Point
    score: float
    confidence: float


class WatchMatcher:
    """Compares new points with watches; `rows` returns the watches of a tenant."""

    def __init__(self, rows: Callable[[str], WatchRows | None], confidence: Calibrator) -> None:
        self._rows = rows
        self._confidence = confidence

    def match(self, write_sets: Sequence[WriteSet]) -> Mapping[ItemUpdate, Sequence[WatchMatch]]:
        """The matches of each item with new looks, without those that it had before. Raises Unavailable."""
        tenants = defaultdict[str, list[NewPoint]](list)
        for each in write_sets:
            embedded = [point for point in each.points.values() if point.vector is not None]
            tenants[each.update.item.tenant] += [(each.update, point) for point in embedded]
        matches = defaultdict[ItemUpdate, list[WatchMatch]](list)
        for tenant, new_points in tenants.items():
            if new_points and (rows := self._rows(tenant)) is not None:
                for update, match in self._matches(tenant, rows, new_points):
                    matches[update].append(match)
        return matches

    def _matches(
        self, tenant: str, rows: WatchRows, new_points: Sequence[NewPoint]
    ) -> Iterator[tuple[ItemUpdate, WatchMatch]]:
        looks = np.stack([point.vector for _, point in new_points if point.vector is not None])
        scores = rows.queries @ looks.T
        confidences = self._confidences(tenant, rows, scores)
        best: dict[tuple[int, ItemUpdate], int] = {}
        for row, column in np.argwhere(confidences >= rows.min_confidences[:, None]).tolist():
            update, point = new_points[column]
            best_column = best.get((row, update))
            if best_column is not None and scores[row, best_column] >= scores[row, column]:
                continue
            notified = rows.marks[row] in update.item.notified_watches
            if not notified and satisfies_all(rows.conditions[row], point.payload):
                best[row, update] = column
        for (row, update), column in best.items():
            score, confidence = float(scores[row, column]), float(confidences[row, column])
            yield update, WatchMatch(rows.watches[row], new_points[column][1], score, confidence)

    def _confidences(self, tenant: str, rows: WatchRows, scores: Floats) -> Floats:
        """The confidence of each score, float32 [watches, points], as `scores`."""
        parts = []
        for group in rows.groups:
            curve = self._confidence.curve(tenant, group.weights, studio=group.studio)
            parts.append(curve.confidence(scores[group.rows]))
        return np.concatenate(parts)


def publish_matches(
    sink: Sink,
    matches: Mapping[ItemUpdate, Sequence[WatchMatch]],
    reports_outcomes: Callable[[datetime], bool],
) -> None:
    """Publish matches. Raises Unavailable.

    Matches of an event whose time `reports_outcomes` rejects are left out, as another index worker publishes them.

    Returns after delivery of all matches: an item that is written with notified watches must not lose its matches
    if this process dies.
    """
    for update, item_matches in matches.items():
        base = update.merged.base_change
        for match in item_matches if base is None or reports_outcomes(base.event.time) else ():
            body = WatchMatched(
                watch_id=match.watch.watch_id,
                tenant=update.item.tenant,
                hit=hit_of(
                    ScoredPoint(match.point.id, match.score, match.point.payload),
                    thumbnail=False,
                    confidence=HitConfidence(match.confidence),
                ),
            )
            name = f"{match.watch.fingerprint}\n{update.item.key}"
            sink.send(SEARCH_MATCHES, match.watch.key, Event(body, id=str(uuid.uuid5(NAMESPACE, name))))
    if matches:
        sink.flush()
