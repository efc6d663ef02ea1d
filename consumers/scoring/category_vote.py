"""Category vote: predict categories by a weighted vote of the nearest labelled neighbours (k-nearest neighbours).

Only points with a given category vote, so that a wrong prediction never causes further ones.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.points.payload import GIVEN
from consumers.scoring.calibration import MAX_COSINE
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.sampling import merchant_category
from infra.array_types import Floats
from infra.qdrant.conditions import AnyOf
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan
from schemas.ranking import INTENTS
from schemas.results import Likely

VOTER_COUNT = 10
VOTE_TEMPERATURE = 0.04
"""A neighbour that scores this much less than the best one has 1/e of its vote (DECISIONS.md)."""
MIN_VOTE_SHARE = 0.85
"""Share of the vote from which a category is stored. Of these categories .96 are right among photos of groceries,
.97 among clothes, and .95 of photos of groceries among studio pictures (2,640 photos)."""
MAX_CATEGORIES = 3
"""Most categories that a vote returns."""
VOTE_WEIGHTS = INTENTS["similar"]
"""Weights of the neighbour search: those of a default search, so that a search's own hits can vote."""
HAS_GIVEN_CATEGORY = AnyOf("category_source", (GIVEN,))
PAYLOAD_KEYS = ("category", "category_source")


@dataclass(frozen=True)
class CategoryVote:
    """Share of the vote (0..1) of each category, and the number of voters: neighbours with a given category."""

    shares: Mapping[str, float] = field(default_factory=dict)
    voters: int = 0

    @property
    def likely(self) -> tuple[Likely, ...]:
        """The likeliest categories, best first, at most MAX_CATEGORIES."""
        ranked = sorted(self.shares, key=lambda name: -self.shares[name])[:MAX_CATEGORIES]
        return tuple(Likely(name=name, confidence=self.shares[name]) for name in ranked)


NO_VOTE = CategoryVote()


def vote(neighbours: Sequence[ScoredPoint], reliability: float = 1.0) -> CategoryVote:
    """Return the vote of the neighbours; NO_VOTE when none has a given category.

    The share of a category with many equal voters is multiplied by `reliability`, 0 to 1, that with a single one by
    1: a head draws the pictures of a label together, so that many agree. See LookParts.vote_reliability.
    """
    # The score of a broken vector would outweigh all others.
    valid = (hit for hit in neighbours if abs(hit.score) <= MAX_COSINE)
    voters = [(hit.score, name) for hit in valid if (name := merchant_category(hit.payload))][:VOTER_COUNT]
    if not voters:
        return NO_VOTE
    best = max(score for score, _ in voters)
    votes: defaultdict[str, list[float]] = defaultdict(list)
    for score, name in voters:
        votes[name].append(float(np.exp((score - best) / VOTE_TEMPERATURE)))
    total = sum(map(sum, votes.values()))
    shares = {
        name: min(1.0, sum(weights) / total) * (1 - (1 - reliability) * (1 - 1 / _effective_number(weights)))
        for name, weights in votes.items()
    }
    return CategoryVote(shares, len(voters))


def _effective_number(weights: Sequence[float]) -> float:
    """Return the number of equal weights that are worth as much as these, from 1 (Kish, Survey Sampling, 1965)."""
    return max(1.0, sum(weights) ** 2 / (sum(weight**2 for weight in weights) or 1.0))


def voter_plan(query: Floats, tenant: str, excluded_items: tuple[str, ...] = ()) -> SearchPlan:
    """Return the plan of the search for voters, without the given item ids; `query` has WEIGHTS applied."""
    condition = (HAS_GIVEN_CATEGORY,)
    return SearchPlan(
        query,
        tenant,
        excluded_ids=excluded_items,
        extra_conditions=condition,
        included_keys=PAYLOAD_KEYS,
        limit=VOTER_COUNT,
    )


@dataclass(frozen=True, eq=False)
class UncategorisedItem:
    """An item without a given category, and the look of its main picture."""

    tenant: str
    item_id: str
    look: Floats
    studio: bool


class CategoryVoter:
    """Predicts the categories of items from the labelled points of an index."""

    def __init__(self, index: Index, calibrator: Calibrator) -> None:
        self._index = index
        self._calibrator = calibrator

    def predict(self, items: Sequence[UncategorisedItem]) -> list[Likely | None]:
        """Return each item's category; None unless the vote is clear and the best voter reaches the threshold.

        None for all items of tenants that are not calibrated. Raises Unavailable when the index is unreachable.
        """
        weigh = self._calibrator.parts.apply_weights
        plans = [voter_plan(weigh(item.look, VOTE_WEIGHTS), item.tenant, (item.item_id,)) for item in items]
        neighbours = self._index.search(plans) if plans else []
        winners = [self._winner(item, hits) for item, hits in zip(items, neighbours, strict=True)]
        if plans:
            self._calibrator.step_between_batches()
        return winners

    def _winner(self, item: UncategorisedItem, hits: Sequence[ScoredPoint]) -> Likely | None:
        ranked = vote(hits, self._calibrator.parts.vote_reliability(item.look)).likely
        curve = self._calibrator.curve(item.tenant, VOTE_WEIGHTS, studio=item.studio)
        is_reliable = bool(ranked) and curve.has_threshold and hits[0].score >= curve.threshold
        return ranked[0] if is_reliable and ranked[0].confidence >= MIN_VOTE_SHARE else None
