"""Retrieval: find, filter, rank and explain the hits of searches whose looks are known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial

import numpy as np

from consumers.embedding.moderation import ModerationPolicy
from consumers.points.payload import DUPLICATE_GROUP, NOTIFIED_WATCHES, broken_vector_failure, hit_of
from consumers.scoring.calibration import MAX_COSINE, CalibrationCurve
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import VOTE_WEIGHTS, VOTER_COUNT, vote, voter_plan
from consumers.scoring.metric import DEFAULT_METRIC
from consumers.searching.grouping import Grouping, gather
from consumers.searching.query_state import QueryState
from consumers.searching.query_understanding import NO_INTENT, has_too_few_hits, infer_intent
from consumers.searching.replies import SearchFindings
from consumers.searching.reranking import BoostTerms, compute_boosts, mmr, rank_by_boosted_score, rescore
from infra.array_types import Floats
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan, Vector
from schemas.filters import Filters
from schemas.results import Explained, Hit, Likely
from schemas.searches import REARRANGED, SearchRequest

SMALL_PART_HNSW_EF, HNSW_EF = 512, 128
"""hnsw_ef: when most of the weight is on a small part of the look, the graph search needs more (DECISIONS.md)."""


@dataclass(frozen=True)
class ResultPage:
    """The hits of one page in order, the boost terms by point id, and the number of hits with previous pages."""

    hits: Sequence[ScoredPoint]
    boost_terms: Mapping[str, BoostTerms]
    count: int
    has_more: bool


class Retriever:
    """Retrieves the hits of searches by their looks."""

    def __init__(self, index: Index, calibrator: Calibrator, policy: ModerationPolicy) -> None:
        self._index = index
        self._calibrator = calibrator
        self._policy = policy

    def retrieve(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        """Return the findings of each search; its inferred filters are relaxed while there are too few hits.

        Sets the failure of a search that meets a broken vector.
        """
        for search in searches:
            search.set_metric(self._calibrator.metric(search.request.tenant))
        self._infer_intents([s for s in searches if s.request.understand == "auto"])
        findings = self._retrieve_once(searches, now)
        while retries := [
            at
            for at, s in enumerate(searches)
            if s.failure is None
            and s.inferred_intent.filter_fields
            and has_too_few_hits(s.request, findings[at].count)
        ]:
            for at in retries:
                searches[at].set_inferred_intent(searches[at].inferred_intent.relax())
            retry_findings = self._retrieve_once([searches[at] for at in retries], now)
            for at, relaxed_findings in zip(retries, retry_findings, strict=True):
                findings[at] = relaxed_findings
        return findings

    def _infer_intents(self, searches: Sequence[QueryState]) -> None:
        """Set the likely categories and the inferred intent of each search."""
        voters_of_searches = self._index.search([self._vote_plan(s) for s in searches]) if searches else []
        for search, voters in zip(searches, voters_of_searches, strict=True):
            categories = self._vote(search, voters)
            search.set_categories(categories)
            search.set_inferred_intent(infer_intent(search.request, categories, search.palette))

    def _retrieve_once(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        """Return the findings of each search, without relaxing filters.

        A search whose own hits are a biased sample for the vote on its category gets a separate vote query.
        """
        if not searches:
            return []
        vote_searches = [s for s in searches if s.categories is None and not _hits_can_vote(s)]
        plans = [self._plan(s) for s in searches] + [self._vote_plan(s) for s in vote_searches]
        groupings = [_candidate_grouping(s) for s in searches] + [Grouping(VOTER_COUNT) for _ in vote_searches]
        results = gather(self._index, plans, groupings)
        voters = dict(zip((s.event.id for s in vote_searches), results[len(searches) :], strict=True))
        for s, points in zip(searches, results[: len(searches)], strict=True):
            if s.categories is None:
                s.set_categories(self._vote(s, voters.get(s.event.id, points)))
        looks = self._load_looks(searches, results)
        return [self._findings(s, points, looks, now) for s, points in zip(searches, results, strict=False)]

    def _vote(self, search: QueryState, voters: Sequence[ScoredPoint]) -> tuple[Likely, ...]:
        """Return the likely categories of a search; none if the best voter scores no better than null pictures."""
        curve = self._calibrator.curve(search.request.tenant, VOTE_WEIGHTS, studio=search.studio)
        return vote(voters) if voters and voters[0].score >= curve.threshold else ()

    def _load_looks(
        self, searches: Sequence[QueryState], results: Sequence[Sequence[ScoredPoint]]
    ) -> Mapping[str, Vector]:
        """Return the finite looks, by point id, of the hits of searches that need them."""
        hit_lists = [
            points
            for s, points in zip(searches, results, strict=False)
            if s.request.explain or s.request.diversity > 0 or s.is_adapted
        ]
        ids = {point.id for points in hit_lists for point in points}
        looks = self._index.vectors(list(ids)) if ids else {}
        return {id: look for id, look in looks.items() if np.isfinite(look).all()}

    def _findings(
        self, search: QueryState, points: Sequence[ScoredPoint], looks: Mapping[str, Vector], now: datetime
    ) -> SearchFindings:
        """Return the findings of a search; sets its failure when a score is no cosine, so a vector is broken."""
        request = search.request
        if broken := [point for point in points if not abs(point.score) <= MAX_COSINE]:
            items = ", ".join(str(point.payload["item_id"]) for point in broken)
            search.fail(broken_vector_failure(request.tenant, items))
            return SearchFindings()
        metric = search.metric if search.is_adapted else DEFAULT_METRIC
        if search.is_adapted:
            points = rescore(points, looks, partial(self._adapted_scores, search), request.min_score)
        curve = self._calibrator.curve(request.tenant, search.weights, studio=search.studio, metric=metric)
        candidates = [point for point in points if _passes_thresholds(point, request, curve)]
        page = self._page(search, candidates, looks, now)
        best_score = max((point.score for point in points), default=None)
        return SearchFindings(
            hits=self._hits(search, page, looks, curve),
            categories=search.categories or (),
            threshold=curve.threshold if curve.has_threshold else None,
            best_score=best_score,
            best_confidence=float(curve.confidence(np.array(-1.0 if best_score is None else best_score))),
            count=page.count,
            has_more=page.has_more,
            palette=search.palette,
            look=search.query_look(),
            inferred_filters=search.inferred_intent.inferred_filters(),
            relaxed_filters=search.inferred_intent.relaxed_filters(),
            weights=search.weights,
        )

    def _page(
        self, search: QueryState, candidates: Sequence[ScoredPoint], looks: Mapping[str, Vector], now: datetime
    ) -> ResultPage:
        """Rank the candidates by score and boosts, collapse and diversify them, and cut out the page."""
        request, end = search.request, search.request.offset + search.request.top_k
        intent = search.inferred_intent if search.is_rearranged else NO_INTENT
        part = self._calibrator.parts.object(search.query_vector)
        categories = search.metric.category_boosts(part) if search.is_rearranged else {}
        terms = {
            point.id: compute_boosts(point.payload, request.boosts, now, intent, categories) for point in candidates
        }
        ranked = rank_by_boosted_score(candidates, terms)
        if search.is_rearranged:
            ranked = _page_grouping(request).collapse(ranked)
        if request.diversity > 0 and (ranked := [point for point in ranked if point.id in looks]):
            totals = [point.score + terms[point.id].total for point in ranked]
            similarity = self._similarity(search, np.stack([looks[point.id] for point in ranked]))
            ranked = [ranked[at] for at in mmr(totals, similarity, request.diversity, end + 1)]
        return ResultPage(ranked[request.offset : end], terms, len(ranked), len(ranked) > end)

    def _similarity(self, search: QueryState, looks: Floats) -> Floats:
        """Return float32 [n, n]: the score of hit j with hit i as the query."""
        weights = search.weights
        return np.stack([self._calibrator.parts.apply_weights(look, weights) for look in looks]) @ looks.T

    def _hits(
        self, search: QueryState, page: ResultPage, looks: Mapping[str, Vector], curve: CalibrationCurve
    ) -> tuple[Hit, ...]:
        confidences = curve.confidence(np.array([point.score for point in page.hits]))
        return tuple(
            hit_of(
                point,
                thumbnail=search.request.thumbnails,
                confidence=float(confidence),
                boost=page.boost_terms[point.id].total,
                explained=self._explain(search, looks.get(point.id), page.boost_terms[point.id]),
            )
            for point, confidence in zip(page.hits, confidences, strict=True)
        )

    def _explain(self, search: QueryState, look: Vector | None, terms: BoostTerms) -> Explained | None:
        if not search.request.explain or look is None:
            return None
        [parts] = self._calibrator.parts.cosines(search.query_vector, look[np.newaxis]).tolist()
        object_, style, colour = parts
        adapted = self._adapted_cosine(search, look) if search.is_adapted else None
        return Explained(object=object_, style=style, colour=colour, object_adapted=adapted, **asdict(terms))

    def _adapted_scores(self, search: QueryState, looks: Floats) -> Floats:
        return self._calibrator.parts.adapted_scores(search.query_vector, looks, search.weights, search.metric)

    def _adapted_cosine(self, search: QueryState, look: Vector) -> float:
        parts = self._calibrator.parts
        [cosine] = search.metric.object_cosines(parts.object(search.query_vector), parts.object(look[np.newaxis]))
        return float(cosine)

    def _vote_plan(self, search: QueryState) -> SearchPlan:
        query = self._calibrator.parts.apply_weights(search.query_vector, VOTE_WEIGHTS)
        return voter_plan(query, search.request.tenant, search.request.named_items)

    def _plan(self, search: QueryState) -> SearchPlan:
        request, weights = search.request, search.weights
        total = weights.object + weights.style + weights.colour
        return SearchPlan(
            vector=self._calibrator.parts.apply_weights(search.query_vector, weights),
            tenant=request.tenant,
            filters=search.inferred_intent.apply_filters(request.filters),
            excluded_ids=request.named_items,
            any_of=request.any_of,
            none_of=request.none_of,
            extra_conditions=self._policy.visibility_conditions(restricted=request.restricted),
            min_score=None if search.is_adapted else request.min_score,
            excluded_keys=(NOTIFIED_WATCHES,) if request.thumbnails else (NOTIFIED_WATCHES, "thumbnail"),
            hnsw_ef=HNSW_EF if weights.object >= 0.5 * total else SMALL_PART_HNSW_EF,
        )


def _passes_thresholds(point: ScoredPoint, request: SearchRequest, curve: CalibrationCurve) -> bool:
    """Return whether a hit passes the score threshold (strict requests) and `min_confidence`."""
    if request.strict and point.score < curve.threshold:
        return False
    return request.min_confidence == 0 or float(curve.confidence(np.array(point.score))) >= request.min_confidence


def _candidate_grouping(search: QueryState) -> Grouping:
    """Return the grouping for the index search; without a field if hits are rearranged and collapsed later."""
    return Grouping(REARRANGED) if search.is_rearranged else _page_grouping(search.request)


def _page_grouping(request: SearchRequest) -> Grouping:
    """Return the grouping of a page, with one extra hit that tells whether there are more."""
    fields = {"item": None, "duplicates": DUPLICATE_GROUP, "brand": "brand", "creator": "creator"}
    field = fields[request.collapse]
    return Grouping(request.offset + request.top_k + 1, field, request.group_size)


def _hits_can_vote(search: QueryState) -> bool:
    """Return whether the hits are the nearest of all items, so that those with a given category can vote."""
    request = search.request
    unfiltered = request.filters == Filters() and not request.any_of and not request.none_of
    plain = unfiltered and request.min_score is None and request.collapse == "item"
    return plain and request.top_k + request.offset >= VOTER_COUNT and search.weights == VOTE_WEIGHTS
