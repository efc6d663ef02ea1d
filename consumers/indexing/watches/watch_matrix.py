"""Watch matrix: hold the current watches of each tenant as rows of a matrix, and match new pictures with them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import structlog

from consumers.embedding.moderation import ALLOW_ALL, ModerationPolicy
from consumers.indexing.item_update import ItemUpdate
from consumers.indexing.writes import WriteSet
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.look_parts import LookParts
from infra.array_types import Floats
from infra.qdrant.condition_eval import satisfies_all
from infra.qdrant.conditions import Condition, tenant_conditions
from infra.qdrant.contract import Point, SearchPlan, conditions
from schemas.envelope import from_bytes
from schemas.failures import Rejected
from schemas.json_value import check_parts
from schemas.ranking import Weights
from schemas.watches import Watch

MIN_CONFIDENCE = np.finfo(np.float32).tiny
"""Lower bound of a minimum confidence: a smaller one becomes 0 in float32, and every picture would match it."""


NewPoint = tuple[ItemUpdate, Point]
"""An item, and one of its new points, which has a look."""


@dataclass(frozen=True)
class WatchGroup:
    """Watches that share a confidence curve: they have the same weights, and the same kind of picture."""

    weights: Weights
    studio: bool
    """Whether their looks are of studio pictures."""
    rows: slice


@dataclass(frozen=True)
class WatchRows:
    """The watches of one tenant; those of one group are consecutive."""

    watches: tuple[Watch, ...]
    marks: tuple[str, ...]
    conditions: tuple[tuple[Condition, ...], ...]
    """For each watch the conditions on the payload of a match, without that on the tenant."""
    queries: Floats
    """The weighted looks of the watches, float32 [n, size]; the dot product with a look is the score."""
    min_confidences: Floats
    """The minimum confidence of each watch, float32 [n]."""
    groups: tuple[WatchGroup, ...]


@dataclass(frozen=True)
class WatchMatch:
    """A watch, and the item's new picture that matches it best."""

    watch: Watch
    point: Point
    score: float
    confidence: float


class WatchMatrix:
    """Holds the newest watch of each key, except those that are not comparable with the looks of `encoder`.

    `size` is the length of a look's vector. For one thread.
    """

    def __init__(self, encoder: str, size: int, parts: LookParts, policy: ModerationPolicy = ALLOW_ALL) -> None:
        self._encoder = encoder
        self._size = size
        self._parts = parts
        self._policy = policy
        self._watches: dict[str, dict[str, Watch]] = {}
        self._rows: dict[str, WatchRows] = {}
        self._log = structlog.get_logger()

    def apply(self, key: str, value: bytes | None) -> bool:
        """Apply a record of the topic: a watch replaces the older one, a tombstone removes it.

        Returns whether the value is a valid watch. Anyone may write to the topic, so the value may be arbitrary
        bytes; an invalid value has the effect of a tombstone.
        """
        tenant = key.partition(":")[0]
        self._rows.pop(tenant, None)
        self._watches.get(tenant, {}).pop(key, None)
        watch = None if value is None else self._read(key, value)
        if watch is not None and self._is_comparable(watch):
            self._watches.setdefault(tenant, {})[key] = watch
        return watch is not None

    def rows(self, tenant: str) -> WatchRows | None:
        """The comparable watches of a tenant; None if it has none."""
        if tenant not in self._rows and self._watches.get(tenant):
            self._rows[tenant] = self._build_rows(list(self._watches[tenant].values()))
        return self._rows.get(tenant)

    def _read(self, key: str, value: bytes) -> Watch | None:
        try:
            check_parts(value)
            watch = from_bytes(value)
        except Rejected as failure:
            self._log.warning("invalid watch", key=key[:80], reason=failure.message)
            return None
        if isinstance(watch, Watch) and watch.key == key:
            return watch
        reason = "the value is not a watch event, or its key differs from the key of the record"
        self._log.warning("invalid watch", key=key[:80], reason=reason)
        return None

    def _is_comparable(self, watch: Watch) -> bool:
        """Whether a watch has our encoder, and a look of our size with parts of unit length; logs why not."""
        if watch.encoder != self._encoder or len(watch.look.vector) != 4 * self._size:
            reason = f"it was added with encoder {watch.encoder[:80]}: add it again"
            self._log.warning("inactive watch", key=watch.key, reason=reason)
            return False
        if not self._parts.has_unit_parts(np.frombuffer(watch.look.vector, "<f4")):
            reason = "the parts of its look are not of unit length: take the look from a search result"
            self._log.warning("inactive watch", key=watch.key, reason=reason)
            return False
        return True

    def _build_rows(self, watches: list[Watch]) -> WatchRows:
        watches.sort(key=_group_key)
        looks = [np.frombuffer(watch.look.vector, "<f4") for watch in watches]
        queries = [
            self._parts.apply_weights(look, watch.weights) for look, watch in zip(looks, watches, strict=True)
        ]
        of_tenant = tenant_conditions(watches[0].tenant)
        plans = [
            SearchPlan(
                query,
                watch.tenant,
                watch.filters,
                watch.any_of,
                watch.none_of,
                extra_conditions=self._policy.visibility_conditions(restricted=watch.restricted),
                includes_regions=True,
            )
            for query, watch in zip(queries, watches, strict=True)
        ]
        return WatchRows(
            watches=tuple(watches),
            marks=tuple(watch.fingerprint for watch in watches),
            conditions=tuple(tuple(each for each in conditions(plan) if each not in of_tenant) for plan in plans),
            queries=np.stack(queries),
            min_confidences=np.maximum(
                np.array([watch.min_confidence for watch in watches], np.float32), MIN_CONFIDENCE
            ),
            groups=tuple(_groups(watches)),
        )


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


def no_watches(_tenant: str) -> WatchRows | None:
    """Default for indexers without watches."""
    return None


def _group_key(watch: Watch) -> tuple[bool, float, float, float]:
    weights = watch.weights
    return watch.look.studio, weights.object, weights.style, weights.colour


def _groups(watches: list[Watch]) -> list[WatchGroup]:
    groups, start = [], 0
    for _, group in groupby(watches, _group_key):
        members = list(group)
        groups.append(WatchGroup(members[0].weights, members[0].look.studio, slice(start, start + len(members))))
        start += len(members)
    return groups
