"""Ranking: candidates in the order in which people see them, boosted and varied, and cut to one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from consumers.searching.query_understanding import NO_GUESS, InferredIntent
from infra.qdrant.contract import Payload, ScoredPoint
from schemas.items import revision_at
from schemas.ranking import Boosts

Floats = NDArray[np.float32]

DAY_US = 86_400_000_000
NOTHING = Boosts()


@dataclass(frozen=True)
class BoostTerms:
    """What boosts add to a score."""

    recency: float = 0.0
    in_stock: float = 0.0
    price: float = 0.0
    likely_category: float = 0.0
    likely_colour: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return self.recency + self.in_stock + self.price + self.likely_category + self.likely_colour


def terms_of(payload: Payload, boosts: Boosts, now: datetime, guess: InferredIntent = NO_GUESS) -> BoostTerms:
    """What is added to a hit with this payload: each term at most its weight, nothing where nothing is known."""
    if boosts == NOTHING and not guess.leans:
        return BoostTerms()
    return BoostTerms(
        boosts.recency * _recency(payload, boosts, now),
        boosts.in_stock * (payload.get("in_stock") == "true"),
        boosts.price * _nearness(payload, boosts),
        *guess.lean(payload),
    )


def boosted(found: Sequence[ScoredPoint], terms: Mapping[str, BoostTerms]) -> list[ScoredPoint]:
    """The hits in the order of their scores with what was added."""
    return sorted(found, key=lambda hit: -(hit.score + terms[hit.id].total))


def mmr(totals: Sequence[float], likeness: Floats, diversity: float, count: int) -> list[int]:
    """Which of the hits come first, `count` of them, when each shall be good and unlike those before it.

    `likeness` is float32 [n, n], in the units of the totals. Source: maximal marginal relevance of J. Carbonell and
    J. Goldstein, The use of MMR, SIGIR 1998, with lambda = 1 - diversity.
    """
    worth = (1 - diversity) * np.asarray(totals, np.float64)
    nearest = np.full(len(totals), -np.inf)
    chosen: list[int] = []
    while len(chosen) < min(count, len(totals)):
        gain = worth - diversity * nearest if chosen else worth.copy()
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        nearest = np.maximum(nearest, likeness[best])
    return chosen


def _recency(payload: Payload, boosts: Boosts, now: datetime) -> float:
    created = payload.get("created_at")
    if not isinstance(created, int | float):
        return 0.0
    days = max(0.0, (revision_at(now) - created) / DAY_US)
    return float(0.5 ** (days / boosts.half_life_days))


def _nearness(payload: Payload, boosts: Boosts) -> float:
    price = payload.get("price")
    if not isinstance(price, int | float) or payload.get("currency") != boosts.currency:
        return 0.0
    if boosts.near_price is None or boosts.price_spread is None:
        return 0.0
    return float(0.5 ** (abs(price - boosts.near_price) / boosts.price_spread))
