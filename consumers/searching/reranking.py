"""Reranking: score candidates by their looks, order them by score and boosts, and diversify them (MMR)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np

from consumers.searching.query_understanding import NO_INTENT, InferredIntent
from infra.array_types import Floats
from infra.qdrant.contract import Payload, ScoredPoint, Vector
from schemas.items import revision_at
from schemas.ranking import Boosts

DAY_US = 86_400_000_000
NO_BOOSTS = Boosts()
NO_CATEGORIES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class BoostTerms:
    """Terms that boosts add to a score."""

    recency: float = 0.0
    in_stock: float = 0.0
    price: float = 0.0
    likely_category: float = 0.0
    likely_colour: float = 0.0
    geometry: float = 0.0

    @property
    def total(self) -> float:
        """Sum of all terms."""
        return self.recency + self.in_stock + self.price + self.likely_category + self.likely_colour + self.geometry


def compute_boosts(
    payload: Payload,
    boosts: Boosts,
    now: datetime,
    intent: InferredIntent = NO_INTENT,
    categories: Mapping[str, float] = NO_CATEGORIES,
) -> BoostTerms:
    """Return the boost terms of a hit with this payload: each from 0 to its weight, 0 for an unknown value.

    `categories` are the boosts of categories that the collection's metric gives.
    """
    if boosts == NO_BOOSTS and not intent.boost_fields and not categories:
        return BoostTerms()
    category, colour = intent.boosts(payload)
    return BoostTerms(
        boosts.recency * _recency(payload, boosts, now),
        boosts.in_stock * (payload.get("in_stock") == "true"),
        boosts.price * _price_proximity(payload, boosts),
        category + categories.get(str(payload.get("category")), 0.0),
        colour,
    )


def rescore(
    hits: Sequence[ScoredPoint],
    looks: Mapping[str, Vector],
    score: Callable[[Floats], Floats],
    min_score: float | None,
) -> list[ScoredPoint]:
    """Return the hits with the scores that `score` gives to their looks [n, size], best first.

    Hits without a look, and those below `min_score`, are left out.
    """
    found = [hit for hit in hits if hit.id in looks]
    scores = score(np.stack([looks[hit.id] for hit in found])) if found else ()
    rescored = [replace(hit, score=float(value)) for hit, value in zip(found, scores, strict=True)]
    ranked = sorted(rescored, key=lambda hit: -hit.score)
    return [hit for hit in ranked if min_score is None or hit.score >= min_score]


def rank_by_boosted_score(hits: Sequence[ScoredPoint], terms: Mapping[str, BoostTerms]) -> list[ScoredPoint]:
    """Return the hits ordered by score plus boosts, best first."""
    return sorted(hits, key=lambda hit: -(hit.score + terms[hit.id].total))


def mmr(totals: Sequence[float], similarity: Floats, diversity: float, count: int) -> list[int]:
    """Return the indices of the first `count` hits by maximal marginal relevance (MMR).

    Each choice balances a high total against a low similarity to the hits chosen before it. `similarity` is float32
    [n, n], in the units of `totals`. Source: J. Carbonell and J. Goldstein, The use of MMR, SIGIR 1998, with
    lambda = 1 - diversity.
    """
    relevance = (1 - diversity) * np.asarray(totals, np.float64)
    max_similarity = np.full(len(totals), -np.inf)
    selection: list[int] = []
    while len(selection) < min(count, len(totals)):
        gain = relevance - diversity * max_similarity if selection else relevance.copy()
        gain[selection] = -np.inf
        best = int(np.argmax(gain))
        selection.append(best)
        max_similarity = np.maximum(max_similarity, similarity[best])
    return selection


def _recency(payload: Payload, boosts: Boosts, now: datetime) -> float:
    created = payload.get("created_at")
    if not isinstance(created, int | float):
        return 0.0
    days = max(0.0, (revision_at(now) - created) / DAY_US)
    return float(0.5 ** (days / boosts.half_life_days))


def _price_proximity(payload: Payload, boosts: Boosts) -> float:
    price = payload.get("price")
    if not isinstance(price, int | float) or payload.get("currency") != boosts.currency:
        return 0.0
    if boosts.near_price is None or boosts.price_spread is None:
        return 0.0
    return float(0.5 ** (abs(price - boosts.near_price) / boosts.price_spread))
