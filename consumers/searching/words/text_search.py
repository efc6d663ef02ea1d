"""Text search: answer searches whose request has a text, with or without a look."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from consumers.embedding.moderation import ModerationPolicy
from consumers.points.payload import HIT_KEYS, HitConfidence, hit_of
from consumers.searching.confidence import CERTAINTY
from consumers.searching.grouping import gather
from consumers.searching.query_state import QueryState
from consumers.searching.replies import SearchFindings
from consumers.searching.reranking import page_grouping
from consumers.searching.retrieval import Retriever
from consumers.searching.words.text_meaning import TextMeaningReader
from consumers.searching.words.text_reader import TextReader
from infra.qdrant.contract import Index, ScoredPoint, SearchPlan
from schemas.searches import REARRANGED

HALF_SCORE = 3.0
"""The BM25 score that counts as 0.5: about that of one word that one item in twenty has."""
RANK_OFFSET = 60
"""Constant of reciprocal rank fusion, from the paper: the larger, the less the first ranks count."""
Ranking = Literal["words", "meaning", "id"]
"""Order of hits: by BM25, by the cosine with the text, or by point id."""


class TextSearch:
    """Answers searches: those without a text by the Retriever alone, those with words alone by their words."""

    def __init__(
        self,
        index: Index,
        retriever: Retriever,
        policy: ModerationPolicy,
        meanings: TextMeaningReader | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._retriever = retriever
        self._policy = policy
        self._reader = TextReader(index, policy, now)
        self._meanings = meanings

    def retrieve(self, searches: Sequence[QueryState], now: datetime) -> list[SearchFindings]:
        """Return the findings of each search; words are dropped where nothing would be left.

        Sets the failure of a search that meets a broken vector. Raises Unavailable when the index is unreachable.
        """
        self._reader.read(searches)
        if self._meanings is not None:
            self._meanings.read(searches)
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

        Hits with the most telling words come first (BM25), or those that a text tower and their words place first.
        Behind them come items that pass the filters and have no words in the index: those from before searches by
        words.
        """
        by_words = self._gather([search for search in searches if search.words.text])
        by_meaning = self._gather([search for search in searches if search.meaning], by="meaning")
        partial = [
            search
            for search in searches
            if search.words.active and not search.meaning and len(by_words[id(search)]) < _depth(search)
        ]
        listed = self._gather(partial, by="id")
        findings = []
        for search in searches:
            ranked = by_words[id(search)]
            scored = fuse_ranks(ranked, by_meaning[id(search)]) if search.meaning else saturate_scores(ranked)
            findings.append(_findings(search, scored, listed[id(search)]))
        return findings

    def _gather(self, searches: Sequence[QueryState], by: Ranking = "words") -> dict[int, list[ScoredPoint]]:
        """Return the hits of each search in this order, by its identity; none for all other searches."""
        plans = [self._plan(search, by) for search in searches]
        groupings = [replace(page_grouping(search.request), count=_depth(search)) for search in searches]
        hits = gather(self._index, plans, groupings) if plans else []
        return defaultdict(list, {id(search): found for search, found in zip(searches, hits, strict=True)})

    def _plan(self, search: QueryState, by: Ranking) -> SearchPlan:
        request, words, meaning = search.request, search.words, search.meaning
        visible = self._policy.visibility_conditions(restricted=request.restricted)
        return SearchPlan(
            vector=meaning.vector if by == "meaning" and meaning else None,
            tenant=request.tenant,
            text=words.text if by == "words" else "",
            filters=request.filters,
            any_of=request.any_of,
            none_of=request.none_of,
            extra_conditions=(*visible, *words.conditions),
            included_keys=(*HIT_KEYS, *(("thumbnail",) if request.thumbnails else ())),
        )


def saturate_scores(ranked: Sequence[ScoredPoint]) -> list[ScoredPoint]:
    """Return hits with their BM25 scores, which have no bound, mapped to 0..1."""
    return [replace(point, score=point.score / (point.score + HALF_SCORE)) for point in ranked]


def fuse_ranks(*rankings: Sequence[ScoredPoint]) -> list[ScoredPoint]:
    """Fuse the rankings of one search by reciprocal ranks, 0..1: an item that is first in all of them has 1.

    BM25 scores and cosines of texts have no common scale, ranks have (G. Cormack, C. Clarke and S. Buettcher,
    Reciprocal rank fusion outperforms Condorcet and individual rank learning methods, 2009). Of equals, hits of the
    first ranking come first.
    """
    items: dict[str, ScoredPoint] = {}
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, point in enumerate(ranking):
            item = str(point.payload["item_id"])
            items.setdefault(item, point)
            scores[item] = scores.get(item, 0.0) + (RANK_OFFSET + 1) / (RANK_OFFSET + 1 + rank) / len(rankings)
    fused = [replace(point, score=scores[item]) for item, point in items.items()]
    return sorted(fused, key=lambda point: -point.score)


def _depth(search: QueryState) -> int:
    """Return the number of hits of a ranking: with a fusion always as many, so that pages of it agree."""
    count = page_grouping(search.request).count
    return count if search.meaning is None else max(count, REARRANGED)


def _findings(search: QueryState, scored: Sequence[ScoredPoint], listed: Sequence[ScoredPoint]) -> SearchFindings:
    request = search.request
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
