"""Text search: answer searches whose request has a text, with or without a look."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from consumers.embedding.moderation import ModerationPolicy
from consumers.points.payload import HIT_KEYS, HitConfidence, hit_of
from consumers.searching.confidence import CERTAINTY
from consumers.searching.grouping import gather
from consumers.searching.query_state import QueryState
from consumers.searching.replies import SearchFindings
from consumers.searching.reranking import page_grouping
from consumers.searching.retrieval import Retriever
from consumers.searching.words.text_reader import TextReader
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan

HALF_SCORE = 3.0
"""The BM25 score that is display as 0.5: about that of one word that one item in twenty has."""


class TextSearch:
    """Answers searches: those without a text by the Retriever alone, those with words alone by their words."""

    def __init__(
        self,
        index: Index,
        retriever: Retriever,
        policy: ModerationPolicy,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._retriever = retriever
        self._policy = policy
        self._reader = TextReader(index, policy, now)

    def retrieve(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        """Return the findings of each search; words are dropped where nothing would be left.

        Sets the failure of a search that meets a broken vector. Raises Unavailable when the index is unreachable.
        """
        self._reader.read(searches)
        findings = self._retrieve(searches, now)
        empty = [
            at for at, s in enumerate(searches) if s.failure is None and s.words.active and not findings[at].count
        ]
        relaxed = [at for at in empty if self._reader.relax(searches[at])]
        for at, found in zip(relaxed, self._retrieve([searches[at] for at in relaxed], now), strict=True):
            findings[at] = found
        return [
            replace(each, understood=s.words.understood, variations=self._reader.vary(s))
            for s, each in zip(searches, findings, strict=True)
        ]

    def _retrieve(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        by_look = [search for search in searches if search.request.has_look]
        by_words = [search for search in searches if not search.request.has_look]
        found = zip(
            (*by_look, *by_words), (*self._retriever.retrieve(by_look, now), *self._find(by_words)), strict=True
        )
        findings = {id(search): each for search, each in found}
        return [findings[id(search)] for search in searches]

    def _find(self, searches: Sequence[QueryState]) -> list[SearchFindings]:
        """Return the findings of searches by words alone.

        Hits with the most telling words come first (BM25). Behind them come items that pass the filters and have no
        words in the index: those from before searches by words.
        """
        ranked = self._gather([search for search in searches if search.words.text], is_ranked=True)
        partial = [
            search
            for search in searches
            if search.words.active and len(ranked.get(id(search), ())) < page_grouping(search.request).count
        ]
        listed = self._gather(partial, is_ranked=False)
        return [_findings(search, ranked.get(id(search), []), listed.get(id(search), [])) for search in searches]

    def _gather(self, searches: Sequence[QueryState], *, is_ranked: bool) -> dict[int, list[ScoredPoint]]:
        """Return the hits of each search, by its identity."""
        plans = [self._plan(search, is_ranked=is_ranked) for search in searches]
        hits = gather(self._index, plans, [page_grouping(search.request) for search in searches]) if plans else []
        return {id(search): found for search, found in zip(searches, hits, strict=True)}

    def _plan(self, search: QueryState, *, is_ranked: bool) -> SearchPlan:
        request, words = search.request, search.words
        visible = self._policy.visibility_conditions(restricted=request.restricted)
        return SearchPlan(
            vector=None,
            tenant=request.tenant,
            text=words.text if is_ranked else "",
            filters=request.filters,
            any_of=request.any_of,
            none_of=request.none_of,
            extra_conditions=(*visible, *words.conditions),
            included_keys=(*HIT_KEYS, *(("thumbnail",) if request.thumbnails else ())),
        )


def _findings(search: QueryState, ranked: Sequence[ScoredPoint], listed: Sequence[ScoredPoint]) -> SearchFindings:
    request = search.request
    scored = [replace(point, score=point.score / (point.score + HALF_SCORE)) for point in ranked]
    found = {str(point.payload["item_id"]): point for point in (*listed, *scored)}
    points = sorted(found.values(), key=lambda point: -point.score)
    if request.min_score is not None:
        points = [point for point in points if point.score >= request.min_score]
    points = page_grouping(request).collapse(points)
    # Hits satisfy all that the words ask for; words of titles alone say less of what a thing is.
    has_facts = any(each.understood.kind != "word" for each in search.words.active)
    confidences = {point.id: CERTAINTY if has_facts else point.score for point in points}
    points = [point for point in points if confidences[point.id] >= request.min_confidence]
    end = request.offset + request.top_k
    return SearchFindings(
        hits=tuple(
            hit_of(point, thumbnail=request.thumbnails, confidence=HitConfidence(confidences[point.id]))
            for point in points[request.offset : end]
        ),
        count=len(points),
        has_more=len(points) > end,
    )
