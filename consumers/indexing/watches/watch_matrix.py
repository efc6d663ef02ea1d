"""Watchlist: the standing searches that there are, tenant by tenant as rows of a matrix."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import structlog

from consumers.embedding.moderation import OPEN, ModerationPolicy
from consumers.scoring.calibration import Floats, LookParts
from infra.qdrant.conditions import Condition, of_tenant
from infra.qdrant.contract import SearchPlan, conditions
from schemas.envelope import from_bytes
from schemas.failures import Rejected
from schemas.json_value import check_parts
from schemas.ranking import Weights
from schemas.watches import Watch

LEAST_CONFIDENCE = np.finfo(np.float32).tiny
"""A confidence that is asked for may be so small that float32 has it as 0, which everything reaches."""


@dataclass(frozen=True)
class WatchGroup:
    """Standing searches whose scores mean the same confidence: those of one weighting, for one kind of picture."""

    weights: Weights
    studio: bool
    rows: slice


@dataclass(frozen=True)
class WatchRows:
    """The standing searches of one tenant, those of a kind one after the other."""

    watches: tuple[Watch, ...]
    marks: tuple[str, ...]
    wanted: tuple[tuple[Condition, ...], ...]
    """What the payload of a match satisfies besides being the tenant's, for each."""
    queries: Floats
    """float32 [n, size]: their looks, weighed, so that the product with a look is the score."""
    least: Floats
    """float32 [n]: the confidence that each asks for."""
    kinds: tuple[WatchGroup, ...]


class WatchMatrix:
    """Keeps the newest record of each key; those that cannot be compared with the looks of `encoder` are left out.

    For one thread.
    """

    def __init__(self, encoder: str, size: int, parts: LookParts, policy: ModerationPolicy = OPEN) -> None:
        self._encoder = encoder
        self._size = size
        self._parts = parts
        self._policy = policy
        self._watches: dict[str, dict[str, Watch]] = {}
        self._rows: dict[str, WatchRows] = {}
        self._log = structlog.get_logger()

    def put(self, key: str, value: bytes | None) -> bool:
        """Take a record of the topic, a standing search in place of an older one, or its end; whether it is one.

        Anybody may write there, so a value may be of any bytes: one that is none counts as an end.
        """
        tenant = key.partition(":")[0]
        self._rows.pop(tenant, None)
        self._watches.get(tenant, {}).pop(key, None)
        watch = None if value is None else self._read(key, value)
        if watch is not None and self._compares(watch):
            self._watches.setdefault(tenant, {})[key] = watch
        return watch is not None

    def rows(self, tenant: str) -> WatchRows | None:
        """The standing searches of a tenant; none when there are none."""
        if tenant not in self._rows and self._watches.get(tenant):
            self._rows[tenant] = self._make(list(self._watches[tenant].values()))
        return self._rows.get(tenant)

    def _read(self, key: str, value: bytes) -> Watch | None:
        try:
            check_parts(value)
            watch = from_bytes(value)
        except Rejected as failure:
            self._log.warning("not a watch", key=key[:80], why=failure.message)
            return None
        if isinstance(watch, Watch) and watch.key == key:
            return watch
        self._log.warning("not a watch", key=key[:80], why="the value is another event, or another key's")
        return None

    def _compares(self, watch: Watch) -> bool:
        """Whether a standing search can be compared with our looks: same encoder, and a look as those are."""
        if watch.encoder != self._encoder or len(watch.look.vector) != 4 * self._size:
            self._log.warning(
                "a watch rests: add it again for this encoder", key=watch.key, encoder=watch.encoder[:80]
            )
            return False
        if not self._parts.are_of_unit_length(np.frombuffer(watch.look.vector, "<f4")):
            why = "the parts of its look are not of unit length: take the look from a search result"
            self._log.warning("a watch rests", key=watch.key, why=why)
            return False
        return True

    def _make(self, watches: list[Watch]) -> WatchRows:
        watches.sort(key=_kind_of)
        looks = [np.frombuffer(watch.look.vector, "<f4") for watch in watches]
        queries = [self._parts.weigh(look, watch.weights) for look, watch in zip(looks, watches, strict=True)]
        owned = of_tenant(watches[0].tenant)
        plans = [
            SearchPlan(
                query,
                watch.tenant,
                watch.filters,
                watch.any_of,
                watch.none_of,
                also=self._policy.showable(restricted=watch.restricted),
            )
            for query, watch in zip(queries, watches, strict=True)
        ]
        return WatchRows(
            watches=tuple(watches),
            marks=tuple(watch.mark for watch in watches),
            wanted=tuple(tuple(each for each in conditions(plan) if each not in owned) for plan in plans),
            queries=np.stack(queries),
            least=np.maximum(np.array([watch.min_confidence for watch in watches], np.float32), LEAST_CONFIDENCE),
            kinds=tuple(_kinds(watches)),
        )


def no_watches(_tenant: str) -> WatchRows | None:
    """For jobs without standing searches."""
    return None


def _kind_of(watch: Watch) -> tuple[bool, float, float, float]:
    weights = watch.weights
    return watch.look.studio, weights.object, weights.style, weights.colour


def _kinds(watches: list[Watch]) -> list[WatchGroup]:
    kinds, start = [], 0
    for _, some in groupby(watches, _kind_of):
        alike = list(some)
        kinds.append(WatchGroup(alike[0].weights, alike[0].look.studio, slice(start, start + len(alike))))
        start += len(alike)
    return kinds
