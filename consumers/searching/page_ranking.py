"""Page ranking: order the candidates of a search by all that counts, and cut out the page that is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from consumers.points.payload import DUPLICATE_GROUP
from consumers.scoring.look_parts import LookParts
from consumers.scoring.verification import VERIFIED_HITS, verification_boost
from consumers.searching.confidence import item_likelihoods
from consumers.searching.geometric_verifier import GeometricVerifier, matches_of
from consumers.searching.grouping import Grouping
from consumers.searching.query_state import QueryState
from consumers.searching.query_understanding import NO_INTENT
from consumers.searching.reranking import BoostTerms, compute_boosts, mmr, rank_by_boosted_score
from infra.array_types import Floats
from infra.qdrant.contract import Index, ScoredPoint, Vector
from schemas.results import KeypointMatch
from schemas.searches import REARRANGED, SearchRequest


@dataclass(frozen=True)
class ResultPage:
    """The hits of one page in order, the boost terms by point id, and the number of hits with previous pages."""

    hits: Sequence[ScoredPoint]
    boost_terms: Mapping[str, BoostTerms]
    count: int
    has_more: bool
    agreements: Mapping[str, Floats] = field(default_factory=dict)
    """Agreeing keypoints [n, 4] of the verified hits, by point id."""
    item_likelihoods: Mapping[str, float] = field(default_factory=dict)
    """How likely each of the best hits is the query's own item, by point id."""

    def matches_of(self, id: str) -> tuple[KeypointMatch, ...] | None:
        """Return the agreeing keypoints of a hit; None if it was not verified."""
        return matches_of(self.agreements[id]) if id in self.agreements else None


class PageRanker:
    """Orders candidates and cuts out pages."""

    def __init__(self, index: Index, parts: LookParts) -> None:
        self._parts = parts
        self._verifier = GeometricVerifier(index)

    def rank(
        self, search: QueryState, candidates: Sequence[ScoredPoint], looks: Mapping[str, Vector], now: datetime
    ) -> ResultPage:
        """Rank the candidates by score and boosts, collapse and diversify them, and cut out the page.

        Raises Unavailable when the index is unreachable.
        """
        request, end = search.request, search.request.offset + search.request.top_k
        terms = self._boost_terms(search, candidates, now)
        ranked = rank_by_boosted_score(candidates, terms)
        agreements = self._verifier.verify(search, ranked) if search.is_verified else {}
        for id, agreeing in agreements.items():
            terms[id] = replace(terms[id], geometry=verification_boost(len(agreeing)))
        likelihoods = item_likelihoods([(point.id, point.score + terms[point.id].geometry) for point in ranked])
        ranked = rank_by_boosted_score(ranked, terms)
        if search.is_rearranged:
            ranked = page_grouping(request).collapse(ranked)
        if request.diversity > 0 and (ranked := [point for point in ranked if point.id in looks]):
            totals = [point.score + terms[point.id].total for point in ranked]
            similarity = self._similarity(search, np.stack([looks[point.id] for point in ranked]))
            ranked = [ranked[at] for at in mmr(totals, similarity, request.diversity, end + 1)]
        count, page = len(ranked), ranked[request.offset : end]
        return ResultPage(page, terms, count, count > end, agreements, likelihoods)

    def _boost_terms(
        self, search: QueryState, candidates: Sequence[ScoredPoint], now: datetime
    ) -> dict[str, BoostTerms]:
        """Return the boost terms of each candidate, by point id."""
        intent = search.inferred_intent if search.is_rearranged else NO_INTENT
        part = self._parts.object(search.query_vector)
        categories = search.metric.category_boosts(part) if search.is_rearranged else {}
        boosts = search.request.boosts
        return {point.id: compute_boosts(point.payload, boosts, now, intent, categories) for point in candidates}

    def _similarity(self, search: QueryState, looks: Floats) -> Floats:
        """Return float32 [n, n]: the score of hit j with hit i as the query."""
        return np.stack([self._parts.apply_weights(look, search.weights) for look in looks]) @ looks.T


def candidate_grouping(search: QueryState) -> Grouping:
    """Return the grouping for the index search; without a field if hits are rearranged and collapsed later."""
    if search.is_rearranged:
        return Grouping(REARRANGED)
    grouping = page_grouping(search.request)
    return replace(grouping, count=max(grouping.count, VERIFIED_HITS + 1)) if search.is_verified else grouping


def page_grouping(request: SearchRequest) -> Grouping:
    """Return the grouping of a page, with one extra hit that tells whether there are more."""
    fields = {"item": None, "duplicates": DUPLICATE_GROUP, "brand": "brand", "creator": "creator"}
    field = fields[request.collapse]
    return Grouping(request.offset + request.top_k + 1, field, request.group_size)
