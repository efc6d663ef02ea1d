"""Confidence: how sure it is that each hit is of the query's category, and that it is the very same item."""

from collections.abc import Mapping, Sequence

import numpy as np

from consumers.points.payload import is_in_region
from consumers.scoring.calibration_curve import CalibrationCurve
from consumers.scoring.category_vote import VOTE_WEIGHTS, vote
from consumers.scoring.coverage import COVERAGE_NEIGHBOURS
from consumers.scoring.look_parts import LookParts
from consumers.scoring.metric import Metric
from consumers.scoring.sampling import merchant_category
from consumers.searching.query_state import QueryState
from infra.array_types import Floats
from infra.qdrant.contract import ScoredPoint, Vector

MIN_VOTERS = 3
"""Fewest voters by whose shares hits are judged."""
CERTAINTY = 0.98
"""Confidence of a category that has the whole vote: neighbours that agree are wrong at times."""
ITEM_CANDIDATES = 10
"""Best hits among which the query's own item is sought."""
ITEM_TEMPERATURE = 0.04
"""A hit that scores this much less than the best one is 1/e times as likely to be the query's own item. Of 296
grocery photos over 81 studio pictures, the first hits claim .52 on average, and .51 are right (ECE .05)."""


def category_confidences(
    search: QueryState,
    points: Sequence[ScoredPoint],
    curve: CalibrationCurve,
    boosts: Mapping[str, float],
    reliability: float = 1.0,
) -> Floats:
    """Return how likely each hit is of the query's category, float32 [n]; 0 for scores below the threshold.

    It is the share of the hit's category in the vote of the nearest neighbours. Where there is no vote, as for hits
    without a given category and for searches by style, it is the share of correct hits with such a score. `boosts`
    are those of categories that the collection's metric gives, `reliability` is that of neighbours.
    """
    if search.names("category"):  # the index has found nothing else
        return np.full(len(points), CERTAINTY, np.float32)
    scores = np.array([point.score for point in points], np.float64)
    # The curve, too, is learned from points that the head was trained on.
    confidences = curve.confidence(scores) * (reliability if search.compares_kinds else 1.0)
    # Under the collection's metric, and only there, a search's own hits are better voters than those by the look.
    is_unfiltered = search.request.is_unfiltered and not search.is_narrowed
    own_vote = search.is_adapted and is_unfiltered and not search.inferred_intent.filter_fields
    pictures = [point for point in points if not is_in_region(point.payload)]
    category_vote = vote(_by_boosted_score(pictures, boosts), reliability) if own_vote else search.vote
    if category_vote is None or category_vote.voters < MIN_VOTERS or not _is_judged_by_vote(search):
        return confidences
    categories = [merchant_category(point.payload) for point in points]
    voted = [
        confidence if name is None else CERTAINTY * category_vote.shares.get(name, 0.0)
        for name, confidence in zip(categories, confidences.tolist(), strict=True)
    ]
    return np.where(scores < curve.threshold, 0.0, voted).astype(np.float32)


def _by_boosted_score(points: Sequence[ScoredPoint], boosts: Mapping[str, float]) -> list[ScoredPoint]:
    """Return points by score plus the boost of their category, best first: as the hits are shown."""
    return sorted(points, key=lambda point: -(point.score + boosts.get(str(point.payload.get("category")), 0.0)))


def item_likelihoods(ranked: Sequence[tuple[str, float]]) -> Mapping[str, float]:
    """Return how likely each of the best hits is the query's own item, by point id, if the index has it.

    `ranked` are point ids with scores, best first, which include what verification adds.
    """
    best = ranked[:ITEM_CANDIDATES]
    if not best:
        return {}
    scores = np.array([score for _, score in best])
    exponents = np.exp((scores - scores.max()) / ITEM_TEMPERATURE)
    return dict(zip((id for id, _ in best), (exponents / exponents.sum()).tolist(), strict=True))


def _is_judged_by_vote(search: QueryState) -> bool:
    """Return whether the search compares kinds of things, and no filter has chosen the categories of its hits."""
    request = search.request
    filters = (request.filters, *request.any_of, *request.none_of)
    return search.compares_kinds and not any(each.category for each in filters)


def mean_score(
    query: Floats, voters: Sequence[ScoredPoint], looks: Mapping[str, Vector], parts: LookParts, metric: Metric
) -> float | None:
    """Return the mean score of the nearest items under the metric of the collection; None if there are none.

    `voters` are the nearest items by their looks, best first; `looks` has the looks, by point id, where the metric
    changes scores.
    """
    nearest = voters[:COVERAGE_NEIGHBOURS]
    if not metric.changes_scores:
        return float(np.mean([voter.score for voter in nearest])) if nearest else None
    found = [looks[voter.id] for voter in nearest if voter.id in looks]
    if not found:
        return None
    return float(parts.adapted_scores(query, np.stack(found), metric.adapt_weights(VOTE_WEIGHTS), metric).mean())
