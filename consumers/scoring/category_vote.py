"""Categories by the vote of the nearest labelled neighbours.

Only points whose category was given have a vote, so that a wrong prediction never breeds others.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.points.payload import GIVEN
from consumers.scoring.calibration import MOST_COSINE
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.sampling import given_category
from infra.qdrant.conditions import AnyOf
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan
from schemas.ranking import INTENTS
from schemas.results import Likely

VOTERS = 10
SOFTNESS = 0.05
"""A neighbour that scores this much less than the best has 1/e of its vote."""
CLEAR = 0.8
"""Share of the vote from which a category is written: 95 to 97 % of them are right then."""
MOST = 3
WEIGHTS = INTENTS["similar"]
"""Neighbours are those of a plain search, so that a search's own hits can vote."""
LABELLED = AnyOf("category_source", (GIVEN,))
KEYS = ("category", "category_source")

Vector = NDArray[np.float32]


def vote(found: Sequence[ScoredPoint]) -> tuple[Likely, ...]:
    """The likeliest categories of whatever has these neighbours, best first, each with its share of the vote.

    At most MOST of them; none when no neighbour was given a category.
    """
    sound = (hit for hit in found if abs(hit.score) <= MOST_COSINE)  # a broken vector's score outweighs all others
    voters = [(hit.score, name) for hit in sound if (name := given_category(hit.payload))][:VOTERS]
    if not voters:
        return ()
    best = max(score for score, _ in voters)
    shares: defaultdict[str, float] = defaultdict(float)
    for score, name in voters:
        shares[name] += float(np.exp((score - best) / SOFTNESS))
    total = sum(shares.values())
    ranked = sorted(shares, key=lambda name: -shares[name])[:MOST]
    return tuple(Likely(name=name, confidence=min(1.0, shares[name] / total)) for name in ranked)


def voters_for(query: Vector, tenant: str, itself: tuple[str, ...] = ()) -> SearchPlan:
    """The search for those who vote, other than the items themselves; `query` is weighed by WEIGHTS."""
    return SearchPlan(query, tenant, apart_from=itself, also=(LABELLED,), keys=KEYS, limit=VOTERS)


@dataclass(frozen=True, eq=False)
class UnnamedItem:
    """An item whose event names no category, and the look of its main picture."""

    tenant: str
    item_id: str
    look: Vector
    studio: bool


class CategoryVoter:
    """Tells the category of looks that nobody named, by the labelled points of an index."""

    def __init__(self, index: Index, confidence: Calibrator) -> None:
        self._index = index
        self._confidence = confidence

    def of(self, items: Sequence[UnnamedItem]) -> list[Likely | None]:
        """The category of each item, where the vote is clear and the nearest voter above the threshold.

        Nothing is told of tenants that are not calibrated yet. Raises Unavailable when the index is away.
        """
        weigh = self._confidence.parts.weigh
        plans = [voters_for(weigh(item.look, WEIGHTS), item.tenant, (item.item_id,)) for item in items]
        found = self._index.search(plans) if plans else []
        winners = [self._winner(item, hits) for item, hits in zip(items, found, strict=True)]
        if plans:
            self._confidence.keep_up()
        return winners

    def _winner(self, item: UnnamedItem, hits: Sequence[ScoredPoint]) -> Likely | None:
        ranked = vote(hits)
        curve = self._confidence.curve(item.tenant, WEIGHTS, studio=item.studio)
        known = bool(ranked) and curve.cuts and hits[0].score >= curve.threshold
        return ranked[0] if known and ranked[0].confidence >= CLEAR else None
