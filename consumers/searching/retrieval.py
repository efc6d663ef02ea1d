"""Retrieval: find, filter, rank and explain the hits of searches whose looks are known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial

import numpy as np

from consumers.embedding.moderation import ModerationPolicy
from consumers.points.payload import HitConfidence, broken_vector_failure, hit_of, is_in_region
from consumers.scoring.calibration import PAD
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import NO_VOTE, VOTE_WEIGHTS, VOTER_COUNT, vote
from consumers.scoring.coverage import COVERAGE_NEIGHBOURS
from consumers.scoring.metric import DEFAULT_METRIC, Metric
from consumers.searching.confidence import category_confidences, mean_score
from consumers.searching.grouping import Grouping, gather
from consumers.searching.query_state import QueryState
from consumers.searching.query_understanding import has_too_few_hits, infer_intent
from consumers.searching.replies import SearchFindings
from consumers.searching.reranking import PageRanker, ResultPage, candidate_grouping, rescore
from consumers.searching.search_plans import NEIGHBOUR_COUNT, neighbour_plan, search_plan, vote_plan
from infra.array_types import Floats
from infra.qdrant.contract import Index, ScoredPoint, Vector
from schemas.results import Explained, Hit


class Retriever:
    """Retrieves the hits of searches by their looks."""

    def __init__(self, index: Index, calibrator: Calibrator, policy: ModerationPolicy) -> None:
        self._index = index
        self._calibrator = calibrator
        self._policy = policy
        self._ranker = PageRanker(index, calibrator.parts)

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
        voters_of_searches = (
            self._index.search([vote_plan(s, self._calibrator.parts) for s in searches]) if searches else []
        )
        voters_by_search = list(zip(searches, voters_of_searches, strict=True))
        looks = self._load_looks((), (), voters_by_search)
        for search, voters in voters_by_search:
            self._vote(search, voters, looks)
            search.set_inferred_intent(infer_intent(search.request, search.likely_categories, search.palette))

    def _retrieve_once(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        """Return the findings of each search, without relaxing filters.

        A search whose own hits are a biased sample for the vote on its category gets a separate vote query.
        """
        if not searches:
            return []
        vote_at = [at for at, s in enumerate(searches) if s.vote is None and not s.hits_can_vote]
        varied_at = [at for at, s in enumerate(searches) if s.request.variations]
        parts = self._calibrator.parts
        plans = [search_plan(s, parts, self._policy) for s in searches]
        plans += [vote_plan(searches[at], parts) for at in vote_at]
        plans += [neighbour_plan(plans[at]) for at in varied_at]
        groupings = [candidate_grouping(s) for s in searches] + [Grouping(VOTER_COUNT) for _ in vote_at]
        results = gather(self._index, plans, groupings + [Grouping(NEIGHBOUR_COUNT) for _ in varied_at])
        extra = iter(results[len(searches) :])
        separate = {at: next(extra) for at in vote_at}
        for at in varied_at:
            searches[at].set_neighbours(next(extra))
        biased = [at for at, s in enumerate(searches) if s.vote is None and _has_regions(results[at])]
        separate |= self._find_voters(searches, [at for at in biased if at not in separate])
        voters = [(s, separate.get(at, results[at])) for at, s in enumerate(searches) if s.vote is None]
        looks = self._load_looks(searches, results, voters)
        for s, points in voters:
            self._vote(s, points, looks)
        return [self._findings(s, points, looks, now) for s, points in zip(searches, results, strict=False)]

    def _find_voters(self, searches: Sequence[QueryState], places: Sequence[int]) -> dict[int, list[ScoredPoint]]:
        """Return the voters of the searches at these places, whose own hits are no pictures alone."""
        plans = [vote_plan(searches[at], self._calibrator.parts) for at in places]
        return dict(zip(places, gather(self._index, plans, [Grouping(VOTER_COUNT)] * len(plans)), strict=True))

    def _vote(self, search: QueryState, voters: Sequence[ScoredPoint], looks: Mapping[str, Vector]) -> None:
        """Let the voters vote on the category of a search; no vote if the best scores as low as null pictures."""
        tenant = search.request.tenant
        best = voters[0].score if voters else PAD
        curve = self._calibrator.curve(tenant, VOTE_WEIGHTS, studio=search.studio)
        coverage = self._calibrator.coverage(tenant, studio=search.studio)
        query, metric = search.query_vector, self._calibrator.metric(tenant)
        mean = mean_score(query, voters, looks, self._calibrator.parts, metric)
        estimate = None if coverage is None or mean is None else coverage.estimate(mean)
        reliability = self._calibrator.parts.vote_reliability(query)
        search.set_vote(vote(voters, reliability) if best >= curve.threshold else NO_VOTE, estimate)

    def _measured_voters(self, search: QueryState, voters: Sequence[ScoredPoint]) -> Sequence[ScoredPoint]:
        """Return the voters whose looks coverage needs: none if it is unknown, or if the index has their scores."""
        tenant = search.request.tenant
        if self._calibrator.coverage(tenant, studio=search.studio) is None:
            return ()
        return voters[:COVERAGE_NEIGHBOURS] if self._calibrator.metric(tenant).changes_scores else ()

    def _load_looks(
        self,
        searches: Sequence[QueryState],
        results: Sequence[Sequence[ScoredPoint]],
        voters: Sequence[tuple[QueryState, Sequence[ScoredPoint]]],
    ) -> Mapping[str, Vector]:
        """Return the finite looks, by point id, of hits and voters whose searches need them."""
        lists = [
            points
            for s, points in zip(searches, results, strict=False)
            if s.request.explain or s.request.diversity > 0 or s.is_adapted or s.has_meaning
        ]
        lists += [self._measured_voters(s, points) for s, points in voters]
        ids = {point.id for points in lists for point in points}
        looks = self._index.vectors(list(ids)) if ids else {}
        return {id: look for id, look in looks.items() if np.isfinite(look).all()}

    def _findings(
        self, search: QueryState, points: Sequence[ScoredPoint], looks: Mapping[str, Vector], now: datetime
    ) -> SearchFindings:
        """Return the findings of a search; sets its failure when a score is no cosine, so a vector is broken."""
        request = search.request
        if broken := [point for point in points if not abs(point.score) <= search.largest_score]:
            items = ", ".join(str(point.payload["item_id"]) for point in broken)
            search.fail(broken_vector_failure(request.tenant, items))
            return SearchFindings()
        parts, metric = self._calibrator.parts, search.metric if search.is_adapted else DEFAULT_METRIC
        if search.is_adapted or search.has_meaning:
            points = rescore(points, looks, partial(self._look_scores, search, metric), request.min_score)
        curve = self._calibrator.curve(request.tenant, search.weights, studio=search.studio, metric=metric)
        boosts = search.metric.category_boosts(parts.object(search.query_vector))
        reliability = 1.0 if metric.omitted else parts.vote_reliability(search.query_vector)
        likelihoods = category_confidences(search, points, curve, boosts, reliability).tolist()
        confidences = dict(zip((point.id for point in points), likelihoods, strict=True))
        candidates = [
            point
            for point in points
            if (not request.strict or search.word_conditions or point.score >= curve.threshold)
            and confidences[point.id] >= request.min_confidence
        ]
        page = self._ranker.rank(search, candidates, looks, now)
        return SearchFindings(
            hits=self._hits(search, page, looks, confidences),
            categories=search.likely_categories,
            coverage=search.coverage,
            threshold=curve.threshold if curve.has_threshold else None,
            best_score=max((point.score for point in points), default=None),
            best_confidence=max(confidences.values(), default=0.0),
            count=page.count,
            has_more=page.has_more,
            palette=search.palette,
            look=search.query_look(),
            inferred_filters=search.inferred_intent.inferred_filters(),
            relaxed_filters=search.inferred_intent.relaxed_filters(),
            weights=search.weights,
            metric=search.metric_summary(),
        )

    def _hits(
        self, search: QueryState, page: ResultPage, looks: Mapping[str, Vector], confidences: Mapping[str, float]
    ) -> tuple[Hit, ...]:
        seeks_item = search.compares_kinds and not search.is_narrowed
        return tuple(
            hit_of(
                point,
                thumbnail=search.request.thumbnails,
                confidence=HitConfidence(
                    confidences[point.id],
                    page.item_likelihoods.get(point.id, 0.0) if seeks_item else None,
                ),
                boost=page.boost_terms[point.id].total,
                explained=self._explain(search, looks.get(point.id), page, point.id),
            )
            for point in page.hits
        )

    def _explain(self, search: QueryState, look: Vector | None, page: ResultPage, id: str) -> Explained | None:
        if not search.request.explain or look is None:
            return None
        [parts] = self._calibrator.parts.cosines(search.query_vector, look[np.newaxis]).tolist()
        object_, style, colour = parts
        adapted = self._adapted_cosine(search, look) if search.is_adapted else None
        matches, terms = page.matches_of(id), asdict(page.boost_terms[id])
        return Explained(
            object_adapted=adapted, object=object_, style=style, colour=colour, matches=matches, **terms
        )

    def _look_scores(self, search: QueryState, metric: Metric, looks: Floats) -> Floats:
        return self._calibrator.parts.adapted_scores(search.query_vector, looks, search.weights, metric)

    def _adapted_cosine(self, search: QueryState, look: Vector) -> float:
        parts = self._calibrator.parts
        [cosine] = search.metric.object_cosines(parts.object(search.query_vector), parts.object(look[np.newaxis]))
        return float(cosine)


def _has_regions(points: Sequence[ScoredPoint]) -> bool:
    return any(is_in_region(point.payload) for point in points)
