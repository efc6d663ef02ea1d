"""AnswerSearches: each search request gets exactly one result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray

from consumers.answers import Answers, Findings
from consumers.category import VOTERS, WEIGHTS, vote, voters_for
from consumers.clock import Clock, Pace
from consumers.confidence import Confidence
from consumers.points import hit, point_id
from consumers.sight import Sight
from infra.qdrant.plan import Found, Index, SearchPlan
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, Unavailable
from schemas.searches import Filters, SearchRequest, SearchTimes

Answer = Callable[[], None]
"""One result, ready to be sent."""

LAST_CHANCE_SECONDS = 1.0
"""A request with less time left than this is answered `unavailable`, not held."""
OVERLOADED = "more searches are waiting than can be done in time: ask again, or allow more time"
SMALL_PART_EFFORT, EFFORT = 512, 128
"""hnsw_ef: when the weight sits on one small part the graph needs more (DECISIONS.md)."""


@dataclass
class Search:
    """One request on its way to its result."""

    event: Event
    request: SearchRequest
    look: NDArray[np.float32] | None = None
    studio: bool = False
    failure: Failure | None = None

    @property
    def seen(self) -> NDArray[np.float32]:
        """The look; only for searches that have not failed."""
        if self.look is None:
            raise ValueError("a search without a look cannot be planned")
        return self.look

    def seconds_left(self, now: datetime) -> float:
        """Until the deadline; negative when it has passed."""
        return self.request.deadline_ms / 1000 - (now - self.event.time).total_seconds()

    def is_late(self, now: datetime, needed: float) -> bool:
        """Whether an answer in `needed` seconds would be too late.

        With half of its time left a request is tried in any case: one slow batch must not end all that follow.
        """
        return self.seconds_left(now) <= min(needed, self.request.deadline_ms / 2000)


class AnswerSearches:
    """A job: `handle` answers search requests."""

    def __init__(
        self, sight: Sight, index: Index, confidence: Confidence, answers: Answers, at_once: int = 16
    ) -> None:
        self._sight = sight
        self._index = index
        self._confidence = confidence
        self._answers = answers
        self._at_once = at_once
        self._behind = False
        self._pace = Pace()
        self._log = structlog.get_logger()

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request; those that came too late are answered before any work is done for them."""
        started = datetime.now(UTC)
        searches = [Search(e, e.body) for e in events if isinstance(e.body, SearchRequest)]
        late, in_time = _split(searches, started, self._pace.longest())
        in_time.sort(key=lambda search: search.event.time)
        too_many, in_time = in_time[: -self._at_once], in_time[-self._at_once :]
        self._behind = len(late) + len(too_many) > len(in_time)
        try:
            answers = self._found(in_time, started)
        except Unavailable as away:
            if any(search.seconds_left(datetime.now(UTC)) > LAST_CHANCE_SECONDS for search in in_time):
                raise
            answers = [partial(self._answers.unavailable, s.event, s.request, away) for s in in_time]
        # Nothing is sent before all is known: a batch that is held must not have been answered in part.
        for answer in answers:
            answer()
        for search in late:
            self._answers.expired(search.event, search.request)
        for search in too_many:
            self._answers.unavailable(search.event, search.request, Unavailable(OVERLOADED))
        if in_time:
            self._pace.note((datetime.now(UTC) - started).total_seconds())
        return {e.id: _not_a_search() for e in events if not isinstance(e.body, SearchRequest)}

    def is_behind(self) -> bool:
        """Whether most of the last batch was too late or too much: it is time to take more at once.

        Of a larger batch the newest `at_once` are looked at, until there are no more waiting than that. So the
        line stays short, and what is done is done well before its deadline.
        """
        return self._behind

    def _found(self, searches: Sequence[Search], started: datetime) -> list[Answer]:
        """An answer for each; those whose pictures took until their deadline are not searched any more."""
        clock = Clock()
        self._find_looks(searches, clock)
        seen = [s for s in searches if s.failure is None]
        late, in_time = _split(seen, datetime.now(UTC))
        answers: list[Answer] = [partial(self._answers.expired, s.event, s.request) for s in late]
        answers += self._search(in_time, clock, started)
        for s in searches:
            if s.failure is not None:
                answers.append(partial(self._answers.rejected, s.event.extra, s.request.request_id, s.failure))
        return answers

    def _find_looks(self, searches: Sequence[Search], clock: Clock) -> None:
        """Give every search the vector that it searches by, or its failure."""
        self._look_up([s for s in searches if s.request.item_id is not None])
        asked = [(s, s.request.image) for s in searches if s.request.image is not None]
        fetched = self._sight.fetch([image for _, image in asked])
        clock.fetched = clock.lap()
        seen: list[Search] = []
        pictures: list[bytes] = []
        for (search, _), picture in zip(asked, fetched, strict=True):
            if isinstance(picture, bytes):
                seen.append(search)
                pictures.append(picture)
            else:
                search.failure = picture
        looks = self._sight.look_at(pictures, [s.request.crop for s in seen])
        for search, look in zip(seen, looks, strict=True):
            if isinstance(look, Failure):
                search.failure = look
            else:
                search.look, search.studio = look.vector, look.studio
        clock.looked = clock.lap()

    def _look_up(self, searches: Sequence[Search]) -> None:
        ids = {s.event.id: point_id(s.request.tenant, str(s.request.item_id), 0) for s in searches}
        found = self._index.vectors(list(ids.values())) if ids else {}
        for search in searches:
            search.look = found.get(ids[search.event.id])
            if search.look is None:
                text = f"item {search.request.item_id} is not indexed: search by a picture, or index it first"
                search.failure = Rejected(Code.ITEM_UNKNOWN, text)

    def _search(self, searches: Sequence[Search], clock: Clock, started: datetime) -> list[Answer]:
        findings = self._findings(searches) if searches else []
        searched = clock.lap()
        steps = {"fetched": clock.fetched, "looked": clock.looked, "searched": searched}
        answers: list[Answer] = []
        for search, found in zip(searches, findings, strict=True):
            queued = max(0.0, (started - search.event.time).total_seconds() * 1000)
            times = SearchTimes(queued=queued, **steps)
            answers.append(partial(self._answers.found, search.event, search.request, found, times))
        self._log.info("answered", searches=len(searches), **{f"{k}_ms": round(v, 1) for k, v in steps.items()})
        return answers

    def _findings(self, searches: Sequence[Search]) -> list[Findings]:
        """What each search comes to; those whose own hits are no fair vote on the category ask for one beside."""
        ask = [s for s in searches if not _votes(s.request)]
        found = self._index.search([self._plan(s) for s in searches] + [self._vote_plan(s) for s in ask])
        votes = dict(zip((s.event.id for s in ask), found[len(searches) :], strict=True))
        return [
            self._judged(s, points, votes.get(s.event.id, points))
            for s, points in zip(searches, found[: len(searches)], strict=True)
        ]

    def _judged(self, search: Search, points: Sequence[Found], voters: Sequence[Found]) -> Findings:
        request = search.request
        curve, common = (
            self._confidence.curve(request.tenant, weights, studio=search.studio)
            for weights in (request.weighting(), WEIGHTS)
        )
        scores = np.array([point.score for point in points])
        kept = scores >= curve.threshold if request.strict else np.ones(len(points), bool)
        hits = tuple(
            hit(point, thumbnail=request.thumbnails, confidence=float(confidence))
            for point, confidence, keep in zip(points, curve.of(scores), kept, strict=True)
            if keep
        )
        known = bool(voters) and voters[0].score >= common.threshold
        threshold = curve.threshold if curve.cuts else None
        return Findings(hits, vote(voters) if known else (), threshold, max(scores, default=None))

    def _vote_plan(self, search: Search) -> SearchPlan:
        request = search.request
        return voters_for(self._confidence.parts.weigh(search.seen, WEIGHTS), request.tenant, request.item_id)

    def _plan(self, search: Search) -> SearchPlan:
        request, weights = search.request, search.request.weighting()
        itself = () if request.item_id is None else (request.item_id,)
        filters = request.filters.model_copy(update={"exclude_items": request.filters.exclude_items + itself})
        total = weights.object + weights.style + weights.colour
        return SearchPlan(
            vector=self._confidence.parts.weigh(search.seen, weights),
            tenant=request.tenant,
            filters=filters,
            limit=request.top_k,
            min_score=request.min_score,
            effort=EFFORT if weights.object >= 0.5 * total else SMALL_PART_EFFORT,
        )


def _votes(request: SearchRequest) -> bool:
    """Whether the hits are the nearest of all, so that those with a given category can vote on the query's."""
    plain = request.filters == Filters() and request.min_score is None and request.top_k >= VOTERS
    return plain and request.weighting() == WEIGHTS


def _split(searches: Sequence[Search], now: datetime, needed: float = 0) -> tuple[list[Search], list[Search]]:
    """Those that are too late for an answer in `needed` seconds, and those in time."""
    late = [search for search in searches if search.is_late(now, needed)]
    return late, [search for search in searches if not search.is_late(now, needed)]


def _not_a_search() -> Rejected:
    return Rejected(Code.EVENT_UNKNOWN, "the topic of search requests takes search.request/1")
