"""Shadow queries: the same searches by both encoders, each in its own index, side by side.

What is searched by are the thumbnails of indexed items, which every item has. A good encoder finds the item itself
first, and among the next ones those of its category.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.points.payload import GIVEN
from consumers.quality.canary.probe import TIE, TOP
from consumers.scoring.calibration import LookParts
from consumers.vision.embedder import ImageEmbedder, Look
from infra.qdrant.contract import Index, Payload, ScoredPoint, SearchPlan
from schemas.ranking import INTENTS

PAGE, AT_ONCE = 256, 32


@dataclass(frozen=True)
class ShadowQuery:
    """An indexed item, searched for by its thumbnail."""

    tenant: str
    item_id: str
    thumbnail: bytes
    category: str | None
    """The one that it was given; predicted ones would judge themselves."""


@dataclass(frozen=True)
class ShadowIndex:
    """An index with the eyes that its vectors were made by."""

    index: Index
    eyes: ImageEmbedder

    @property
    def parts(self) -> LookParts:
        """How long the parts of its looks are."""
        return LookParts(self.eyes.encoder.object_size, self.eyes.encoder.style_size)


@dataclass(frozen=True)
class ShadowMeasures:
    """What some searches came to; none where there was nothing to measure."""

    queries: int
    first_hit_rate: float | None
    """Share of searches whose first hit is the item itself."""
    category_share: float | None
    """Share of the next ten hits that were given the category of the item, where it was given one."""


def draw(index: Index, other: Index, count: int) -> list[ShadowQuery]:
    """Up to `count` live items that both indexes hold, by id, which is fair: ids are hashes. Raises Unavailable."""
    drawn: list[ShadowQuery] = []
    after: str | None = None
    while len(drawn) < count:
        points, after = index.page(after, PAGE)
        mains = {p.id: p.payload for p in points if p.payload.get("n") == 0 and p.payload.get("thumbnail")}
        there = other.payloads(list(mains), ("state",))
        drawn += [_query(payload) for id, payload in mains.items() if there.get(id, {}).get("state") == "live"]
        if after is None:
            break
    return drawn[:count]


def measure(side: ShadowIndex, queries: Sequence[ShadowQuery]) -> ShadowMeasures:
    """Search for each in one index. Raises Unavailable."""
    right: list[float] = []
    shares: list[float] = []
    for n in range(0, len(queries), AT_ONCE):
        few = queries[n : n + AT_ONCE]
        looks = side.eyes.look_at([query.thumbnail for query in few])
        asked = [(query, look) for query, look in zip(few, looks, strict=True) if isinstance(look, Look)]
        plans = [_plan(side.parts, query, look) for query, look in asked]
        for (query, _), hits in zip(asked, side.index.search(plans) if plans else [], strict=True):
            right.append(query.item_id in _first(hits))
            others = [hit for hit in hits if hit.payload["item_id"] != query.item_id][:TOP]
            if query.category is not None and others:
                shares.append(float(np.mean([_given(hit.payload) == query.category for hit in others])))
    return ShadowMeasures(len(right), _mean(right), _mean(shares))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _plan(parts: LookParts, query: ShadowQuery, look: Look) -> SearchPlan:
    keys = ("category", "category_source")
    return SearchPlan(parts.weigh(look.vector, INTENTS["similar"]), query.tenant, limit=TOP + 1, keys=keys)


def _first(hits: Sequence[ScoredPoint]) -> set[object]:
    return {hit.payload["item_id"] for hit in hits if hit.score >= hits[0].score - TIE}


def _query(payload: Payload) -> ShadowQuery:
    thumbnail = base64.b64decode(str(payload["thumbnail"]))
    return ShadowQuery(str(payload["tenant"]), str(payload["item_id"]), thumbnail, _given(payload))


def _given(payload: Payload) -> str | None:
    return str(payload["category"]) if payload.get("category_source") == GIVEN else None
