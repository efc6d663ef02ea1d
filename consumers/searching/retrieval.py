"""Finding: what searches come to, once it is known what they look for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np

from consumers.embedding.moderation import ModerationPolicy
from consumers.points.payload import DUPLICATE_GROUP, TOLD, broken_index, hit
from consumers.scoring.calibration import MOST_COSINE, CalibrationCurve, Floats
from consumers.scoring.calibrator import Calibrator
from consumers.scoring.category_vote import VOTERS, WEIGHTS, vote, voters_for
from consumers.searching.grouping import Grouping, gather
from consumers.searching.query_state import QueryState
from consumers.searching.query_understanding import NO_GUESS, infer_intent, too_few
from consumers.searching.replies import SearchFindings
from consumers.searching.reranking import BoostTerms, boosted, mmr, terms_of
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan, Vector
from schemas.filters import Filters
from schemas.results import Explained, Hit, Likely
from schemas.searches import REARRANGED, SearchRequest

SMALL_PART_EFFORT, EFFORT = 512, 128
"""hnsw_ef: when the weight sits on one small part the graph needs more (DECISIONS.md)."""


@dataclass(frozen=True)
class ResultPage:
    """The hits of one page in their order, what boosts added to each, and how many were found with those before."""

    found: Sequence[ScoredPoint]
    terms: Mapping[str, BoostTerms]
    count: int
    more: bool


class Retriever:
    """Finds the hits of searches by their looks."""

    def __init__(self, index: Index, confidence: Calibrator, policy: ModerationPolicy) -> None:
        self._index = index
        self._confidence = confidence
        self._policy = policy

    def find(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        """What each search comes to; what was added to its filters is taken back while too little is found.

        One that meets a broken vector gets its failure.
        """
        self._guess([s for s in searches if s.request.understand == "auto"])
        findings = self._find(searches, now)
        while again := [
            at
            for at, s in enumerate(searches)
            if s.failure is None and s.guess.narrows and too_few(s.request, findings[at].count)
        ]:
            for at in again:
                searches[at].guess = searches[at].guess.relax()
            better = self._find([searches[at] for at in again], now)
            for at, found in zip(again, better, strict=True):
                findings[at] = found
        return findings

    def _guess(self, searches: Sequence[QueryState]) -> None:
        """Find out what these searches probably show, and what to make of it."""
        voters = self._index.search([self._vote_plan(s) for s in searches]) if searches else []
        for search, found in zip(searches, voters, strict=True):
            search.likely = self._likely(search, found)
            search.guess = infer_intent(search.request, search.likely, search.palette)

    def _find(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        """What each search comes to; those whose own hits are no fair vote on the category ask for one beside."""
        if not searches:
            return []
        ask = [s for s in searches if s.likely is None and not _votes(s.request)]
        plans = [self._plan(s) for s in searches] + [self._vote_plan(s) for s in ask]
        wanted = [_candidates(s) for s in searches] + [Grouping(VOTERS) for _ in ask]
        found = gather(self._index, plans, wanted)
        votes = dict(zip((s.event.id for s in ask), found[len(searches) :], strict=True))
        for s, points in zip(searches, found[: len(searches)], strict=True):
            if s.likely is None:
                s.likely = self._likely(s, votes.get(s.event.id, points))
        looks = self._looks(searches, found)
        return [self._judged(s, points, looks, now) for s, points in zip(searches, found, strict=False)]

    def _likely(self, search: QueryState, voters: Sequence[ScoredPoint]) -> tuple[Likely, ...]:
        """What a search probably shows; nothing when even the nearest voter is as far as pictures of nothing."""
        curve = self._confidence.curve(search.request.tenant, WEIGHTS, studio=search.studio)
        return vote(voters) if voters and voters[0].score >= curve.threshold else ()

    def _looks(
        self, searches: Sequence[QueryState], found: Sequence[Sequence[ScoredPoint]]
    ) -> Mapping[str, Vector]:
        """The looks of the hits that are to be compared or explained."""
        asked = [
            points
            for s, points in zip(searches, found, strict=False)
            if s.request.explain or s.request.diversity > 0
        ]
        ids = {point.id for points in asked for point in points}
        looks = self._index.vectors(list(ids)) if ids else {}
        return {id: look for id, look in looks.items() if np.isfinite(look).all()}

    def _judged(
        self, search: QueryState, points: Sequence[ScoredPoint], looks: Mapping[str, Vector], now: datetime
    ) -> SearchFindings:
        request = search.request
        if broken := [point for point in points if not abs(point.score) <= MOST_COSINE]:
            items = ", ".join(str(point.payload["item_id"]) for point in broken)
            search.failure = broken_index(request.tenant, items)
            return SearchFindings()
        curve = self._confidence.curve(request.tenant, request.weighting(), studio=search.studio)
        kept = [point for point in points if _is_good(point, request, curve)]
        page = self._page(search, kept, looks, now)
        nearest = max((point.score for point in points), default=None)
        return SearchFindings(
            hits=self._hits(search, page, looks, curve),
            categories=search.likely or (),
            threshold=curve.threshold if curve.cuts else None,
            nearest=nearest,
            surest=float(curve.of(np.array(-1.0 if nearest is None else nearest))),
            count=page.count,
            more=page.more,
            palette=search.palette,
            look=search.look_back(),
            added=search.guess.added(),
            relaxed=search.guess.given_up(),
        )

    def _page(
        self, search: QueryState, kept: Sequence[ScoredPoint], looks: Mapping[str, Vector], now: datetime
    ) -> ResultPage:
        request, end = search.request, search.request.offset + search.request.top_k
        guessed = search.guess if search.is_rearranged else NO_GUESS
        terms = {point.id: terms_of(point.payload, request.boosts, now, guessed) for point in kept}
        ranked = boosted(kept, terms)
        if search.is_rearranged:
            ranked = _groups(request).collapse(ranked)
        if request.diversity > 0 and (ranked := [point for point in ranked if point.id in looks]):
            totals = [point.score + terms[point.id].total for point in ranked]
            likeness = self._likeness(request, np.stack([looks[point.id] for point in ranked]))
            ranked = [ranked[at] for at in mmr(totals, likeness, request.diversity, end + 1)]
        return ResultPage(ranked[request.offset : end], terms, len(ranked), len(ranked) > end)

    def _likeness(self, request: SearchRequest, looks: Floats) -> Floats:
        """float32 [n, n]: what each hit would score if another were the query."""
        weights = request.weighting()
        return np.stack([self._confidence.parts.weigh(look, weights) for look in looks]) @ looks.T

    def _hits(
        self, search: QueryState, page: ResultPage, looks: Mapping[str, Vector], curve: CalibrationCurve
    ) -> tuple[Hit, ...]:
        confidences = curve.of(np.array([point.score for point in page.found]))
        return tuple(
            hit(
                point,
                thumbnail=search.request.thumbnails,
                confidence=float(confidence),
                boost=page.terms[point.id].total,
                explained=self._explained(search, looks.get(point.id), page.terms[point.id]),
            )
            for point, confidence in zip(page.found, confidences, strict=True)
        )

    def _explained(self, search: QueryState, look: Vector | None, terms: BoostTerms) -> Explained | None:
        if not search.request.explain or look is None:
            return None
        [parts] = self._confidence.parts.cosines(search.seen, look[np.newaxis]).tolist()
        object_, style, colour = parts
        return Explained(object=object_, style=style, colour=colour, **asdict(terms))

    def _vote_plan(self, search: QueryState) -> SearchPlan:
        query = self._confidence.parts.weigh(search.seen, WEIGHTS)
        return voters_for(query, search.request.tenant, search.request.named_items)

    def _plan(self, search: QueryState) -> SearchPlan:
        request, weights = search.request, search.request.weighting()
        total = weights.object + weights.style + weights.colour
        return SearchPlan(
            vector=self._confidence.parts.weigh(search.seen, weights),
            tenant=request.tenant,
            filters=search.guess.narrowed(request.filters),
            apart_from=request.named_items,
            any_of=request.any_of,
            none_of=request.none_of,
            also=self._policy.showable(restricted=request.restricted),
            min_score=request.min_score,
            without=(TOLD,) if request.thumbnails else (TOLD, "thumbnail"),
            effort=EFFORT if weights.object >= 0.5 * total else SMALL_PART_EFFORT,
        )


def _is_good(point: ScoredPoint, request: SearchRequest, curve: CalibrationCurve) -> bool:
    """Whether a request wants a hit of this score."""
    if request.strict and point.score < curve.threshold:
        return False
    return request.min_confidence == 0 or float(curve.of(np.array(point.score))) >= request.min_confidence


def _candidates(search: QueryState) -> Grouping:
    """What a search needs of the index; boosts and variety choose among all hits, so groups are cut after them."""
    return Grouping(REARRANGED) if search.is_rearranged else _groups(search.request)


def _groups(request: SearchRequest) -> Grouping:
    """What a page is made of: one hit more than it shows, to tell whether there are more."""
    fields = {"item": None, "duplicates": DUPLICATE_GROUP, "brand": "brand", "creator": "creator"}
    field = fields[request.collapse]
    return Grouping(request.offset + request.top_k + 1, field, request.group_size)


def _votes(request: SearchRequest) -> bool:
    """Whether the hits are the nearest of all, so that those with a given category can vote on the query's."""
    unfiltered = request.filters == Filters() and not request.any_of and not request.none_of
    plain = unfiltered and request.min_score is None and request.collapse == "item"
    return plain and request.top_k + request.offset >= VOTERS and request.weighting() == WEIGHTS
