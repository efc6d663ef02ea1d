"""Reranking: score candidates by their looks, order them by all that counts, diversify them, and cut out pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np

from consumers.points.payload import DUPLICATE_GROUP, is_in_region
from consumers.scoring.look_parts import LookParts
from consumers.scoring.verification import VERIFIED_HITS, verification_boost
from consumers.searching.confidence import item_likelihoods
from consumers.searching.geometric_verifier import GeometricVerifier, matches_of
from consumers.searching.grouping import Grouping
from consumers.searching.query_state import QueryState
from consumers.searching.query_understanding import NO_INTENT, InferredIntent
from infra.array_types import Floats
from infra.qdrant.contract import Index, Payload, ScoredPoint, Vector
from infra.qdrant.point_ids import picture_id
from schemas.items import revision_at
from schemas.ranking import Boosts
from schemas.results import KeypointMatch
from schemas.searches import REARRANGED, SearchRequest

THUMBNAIL = "thumbnail"
"""Payload key of the small JPEG of a picture; regions have none."""
DAY_US = 86_400_000_000
PREFERRED = 30
"""Hits that are reordered by the facts of the query's item alone, so that pages up to there agree."""
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
    words: float = 0.0

    @property
    def total(self) -> float:
        """Sum of all terms."""
        likely = self.likely_category + self.likely_colour
        return self.recency + self.in_stock + self.price + likely + self.geometry + self.words


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
        self._index = index
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
        if search.has_meaning and search.meaning is not None:
            boosts = {point.id: search.meaning.boost(looks[point.id]) for point in candidates}
            terms = {id: replace(each, words=each.words + boosts[id]) for id, each in terms.items()}
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
        page = self._add_thumbnails(page) if request.thumbnails else page
        return ResultPage(page, terms, count, count > end, agreements, likelihoods)

    def _add_thumbnails(self, hits: Sequence[ScoredPoint]) -> list[ScoredPoint]:
        """Return the hits, those in regions with the thumbnails of their pictures. Raises Unavailable."""
        pictures = {hit.id: picture_id(hit.id, hit.payload) for hit in hits if is_in_region(hit.payload)}
        stored = self._index.payloads(list(set(pictures.values())), [THUMBNAIL]) if pictures else {}
        thumbnails = {id: stored.get(picture, {}).get(THUMBNAIL) for id, picture in pictures.items()}
        return [
            replace(hit, payload={**hit.payload, THUMBNAIL: thumbnails[hit.id]}) if hit.id in thumbnails else hit
            for hit in hits
        ]

    def _boost_terms(
        self, search: QueryState, candidates: Sequence[ScoredPoint], now: datetime
    ) -> dict[str, BoostTerms]:
        """Return the boost terms of each candidate, by point id."""
        intent = search.inferred_intent if search.is_rearranged else NO_INTENT
        part = self._parts.object(search.query_vector)
        categories = search.metric.category_boosts(part) if search.is_rearranged else {}
        boosts = search.request.boosts
        terms = {point.id: compute_boosts(point.payload, boosts, now, intent, categories) for point in candidates}
        if not search.words.preferences:
            return terms
        return {each.id: replace(terms[each.id], words=search.words.boost(each.payload)) for each in candidates}

    def _similarity(self, search: QueryState, looks: Floats) -> Floats:
        """Return float32 [n, n]: the score of hit j with hit i as the query."""
        return np.stack([self._parts.apply_weights(look, search.weights) for look in looks]) @ looks.T


def candidate_grouping(search: QueryState) -> Grouping:
    """Return the grouping for the index search; without a field if hits are rearranged and collapsed later."""
    grouping = page_grouping(search.request)
    if search.is_rearranged:
        is_small = not search.is_boosted and grouping.count <= PREFERRED
        return Grouping(PREFERRED if is_small else REARRANGED)
    return replace(grouping, count=max(grouping.count, VERIFIED_HITS + 1)) if search.is_verified else grouping


def page_grouping(request: SearchRequest) -> Grouping:
    """Return the grouping of a page, with one extra hit that tells whether there are more."""
    fields = {"item": None, "duplicates": DUPLICATE_GROUP, "brand": "brand", "creator": "creator"}
    field = fields[request.collapse]
    return Grouping(request.offset + request.top_k + 1, field, request.group_size)
