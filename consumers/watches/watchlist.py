"""Watchlist: the standing searches that there are, tenant by tenant as rows of a matrix."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import structlog

from consumers.curves import Floats, Parts
from consumers.moderation import OPEN, Policy
from infra.qdrant.conditions import Condition, of_tenant
from infra.qdrant.plan import SearchPlan, conditions
from schemas.envelope import from_bytes
from schemas.failures import Rejected
from schemas.ranking import Weights
from schemas.watches import Watch


@dataclass(frozen=True)
class Kind:
    """Standing searches whose scores mean the same confidence: those of one weighting, for one kind of picture."""

    weights: Weights
    studio: bool
    rows: slice


@dataclass(frozen=True)
class Rows:
    """The standing searches of one tenant, those of a kind one after the other."""

    watches: tuple[Watch, ...]
    marks: tuple[str, ...]
    wanted: tuple[tuple[Condition, ...], ...]
    """What the payload of a match satisfies besides being the tenant's, for each."""
    queries: Floats
    """float32 [n, size]: their looks, weighed, so that the product with a look is the score."""
    least: Floats
    """float32 [n]: the confidence that each asks for."""
    kinds: tuple[Kind, ...]


class Watchlist:
    """Keeps the newest record of each key; those that cannot be compared with the looks of `encoder` are left out.

    For one thread.
    """

    def __init__(self, encoder: str, size: int, parts: Parts, policy: Policy = OPEN) -> None:
        self._encoder = encoder
        self._size = size
        self._parts = parts
        self._policy = policy
        self._watches: dict[str, dict[str, Watch]] = {}
        self._rows: dict[str, Rows] = {}
        self._log = structlog.get_logger()

    def put(self, key: str, value: bytes | None) -> None:
        """Take a record of the topic: a standing search in place of an older one, or its end."""
        tenant = key.partition(":")[0]
        self._rows.pop(tenant, None)
        known = self._watches.setdefault(tenant, {})
        known.pop(key, None)
        if value is not None and (watch := self._read(key, value)) is not None:
            known[key] = watch

    def rows(self, tenant: str) -> Rows | None:
        """The standing searches of a tenant; none when there are none."""
        if tenant not in self._rows and self._watches.get(tenant):
            self._rows[tenant] = self._make(list(self._watches[tenant].values()))
        return self._rows.get(tenant)

    def _read(self, key: str, value: bytes) -> Watch | None:
        try:
            watch = from_bytes(value)
        except Rejected as failure:
            self._log.warning("not a watch", key=key[:80], why=failure.message)
            return None
        if not isinstance(watch, Watch) or watch.key != key:
            self._log.warning("not a watch", key=key[:80], why="the value is another event, or another key's")
        elif watch.encoder != self._encoder or len(watch.look.vector) != 4 * self._size:
            self._log.warning("a watch rests: add it again for this encoder", key=key, encoder=watch.encoder)
        else:
            return watch
        return None

    def _make(self, watches: list[Watch]) -> Rows:
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
        return Rows(
            watches=tuple(watches),
            marks=tuple(watch.mark for watch in watches),
            wanted=tuple(tuple(each for each in conditions(plan) if each not in owned) for plan in plans),
            queries=np.stack(queries),
            least=np.array([watch.min_confidence for watch in watches], np.float32),
            kinds=tuple(_kinds(watches)),
        )


def no_watches(_tenant: str) -> Rows | None:
    """For jobs without standing searches."""
    return None


def _kind_of(watch: Watch) -> tuple[bool, float, float, float]:
    weights = watch.weights
    return watch.look.studio, weights.object, weights.style, weights.colour


def _kinds(watches: list[Watch]) -> list[Kind]:
    kinds, start = [], 0
    for _, some in groupby(watches, _kind_of):
        alike = list(some)
        kinds.append(Kind(alike[0].weights, alike[0].look.studio, slice(start, start + len(alike))))
        start += len(alike)
    return kinds
