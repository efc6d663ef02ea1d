"""Shadow queries: compares two encoders by the same searches, each in its own index.

The queries are the thumbnails of indexed items, because every item has one. A good encoder finds the item itself
first, and then items of the same category.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from consumers.points.payload import GIVEN
from consumers.quality.canary.probe import HITS_PER_SEARCH, TIE_TOLERANCE
from consumers.scoring.look_parts import LookParts, parts_of
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.qdrant.contract import Index, Payload, ScoredPoint, SearchPlan
from infra.qdrant.point_ids import IMAGE_NUMBER
from schemas.ranking import INTENTS

PAGE_SIZE, QUERY_BATCH = 256, 32


@dataclass(frozen=True)
class ShadowQuery:
    """An indexed item and its thumbnail, which is the query."""

    tenant: str
    item_id: str
    thumbnail: bytes
    category: str | None
    """The category that the event gave; a predicted one would be evaluated against itself."""


@dataclass(frozen=True)
class ShadowIndex:
    """An index, and the embedder that made its vectors."""

    index: Index
    embedder: ImageEmbedder

    @property
    def parts(self) -> LookParts:
        """Dimensions of the parts of its looks."""
        return parts_of(self.embedder.encoder)


@dataclass(frozen=True)
class ShadowMeasures:
    """Quality measures of some searches; None where there was nothing to measure."""

    queries: int
    first_hit_rate: float | None
    """Share of searches whose first hit, or a hit with the same score, is the item itself."""
    category_share: float | None
    """Share of the next ten hits that have the given category of the item, over items with a given category."""


def draw(index: Index, other: Index, count: int) -> list[ShadowQuery]:
    """Draw up to `count` live items that both indexes hold; raises Unavailable.

    The order is that of their ids, which is a random sample because ids are hashes.
    """
    queries: list[ShadowQuery] = []
    after: str | None = None
    while len(queries) < count:
        points, after = index.page(after, PAGE_SIZE)
        payloads = {
            p.id: p.payload for p in points if p.payload.get(IMAGE_NUMBER) == 0 and p.payload.get("thumbnail")
        }
        others = other.payloads(list(payloads), ("state",))
        queries += [
            _query(payload) for id, payload in payloads.items() if others.get(id, {}).get("state") == "live"
        ]
        if after is None:
            break
    return queries[:count]


def measure(target: ShadowIndex, queries: Sequence[ShadowQuery]) -> ShadowMeasures:
    """Run the queries against one index; raises Unavailable."""
    first_hits: list[float] = []
    shares: list[float] = []
    for n in range(0, len(queries), QUERY_BATCH):
        batch = queries[n : n + QUERY_BATCH]
        looks = target.embedder.embed([query.thumbnail for query in batch])
        pairs = [(query, look) for query, look in zip(batch, looks, strict=True) if isinstance(look, Look)]
        plans = [_plan(target.parts, query, look) for query, look in pairs]
        for (query, _), hits in zip(pairs, target.index.search(plans) if plans else [], strict=True):
            first_hits.append(query.item_id in _top_items(hits))
            others = [hit for hit in hits if hit.payload["item_id"] != query.item_id][:HITS_PER_SEARCH]
            if query.category is not None and others:
                shares.append(float(np.mean([_given_category(hit.payload) == query.category for hit in others])))
    return ShadowMeasures(len(first_hits), _mean(first_hits), _mean(shares))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _plan(parts: LookParts, query: ShadowQuery, look: Look) -> SearchPlan:
    keys = ("category", "category_source")
    return SearchPlan(
        parts.apply_weights(look.vector, INTENTS["similar"]),
        query.tenant,
        limit=HITS_PER_SEARCH + 1,
        included_keys=keys,
    )


def _top_items(hits: Sequence[ScoredPoint]) -> set[object]:
    """Ids of the items whose score ties with the best one."""
    return {hit.payload["item_id"] for hit in hits if hit.score >= hits[0].score - TIE_TOLERANCE}


def _query(payload: Payload) -> ShadowQuery:
    thumbnail = base64.b64decode(str(payload["thumbnail"]))
    return ShadowQuery(str(payload["tenant"]), str(payload["item_id"]), thumbnail, _given_category(payload))


def _given_category(payload: Payload) -> str | None:
    return str(payload["category"]) if payload.get("category_source") == GIVEN else None
