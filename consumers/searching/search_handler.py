"""SearchHandler: each search request gets exactly one result."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog

from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.stage_timer import LatencyEstimate, StageTimer
from consumers.scoring.calibrator import Calibrator
from consumers.searching.query_state import INDEX_FAILED, LAST_CHANCE_SECONDS, QueryState, split
from consumers.searching.query_vectors import QueryVectors
from consumers.searching.replies import ReplyPublisher
from consumers.searching.retrieval import Retriever
from infra.qdrant.contract import EngineError, Index
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater, Unavailable
from schemas.results import SearchTimes
from schemas.searches import SearchRequest

Answer = Callable[[], None]
"""One result, ready to be sent."""

SOON = 1 / 8
"""Share of the time left that a batch may take: others wait behind it."""
OVERLOADED = "more searches are waiting than can be done in time: ask again, or allow more time"


class SearchHandler:
    """A job: `handle` answers search requests."""

    def __init__(
        self, sight: ImagePipeline, index: Index, confidence: Calibrator, answers: ReplyPublisher, at_once: int = 16
    ) -> None:
        self._looks = QueryVectors(sight, index, confidence.parts)
        self._finder = Retriever(index, confidence, sight.policy)
        self._answers = answers
        self._at_once = at_once
        self._behind = False
        self._pace = LatencyEstimate()
        self._log = structlog.get_logger()

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request; no work is done for those that are hopeless."""
        started = datetime.now(UTC)
        in_time, hopeless = self._part(events, started)
        try:
            answers = self._answers_to(in_time, started)
        except Unavailable as away:
            if any(search.seconds_left(datetime.now(UTC)) > LAST_CHANCE_SECONDS for search in in_time):
                raise
            answers = [partial(self._answers.unavailable, s.event, s.request, away) for s in in_time]
        # Nothing is sent before all is known: a batch that is held must not have been answered in part.
        for answer in answers:
            answer()
        self._refuse(hopeless, started)
        if in_time:
            turns = math.ceil(len(in_time) / self._at_once)
            self._pace.note((datetime.now(UTC) - started).total_seconds() / turns)
        return {e.id: _not_a_search() for e in events if not isinstance(e.body, SearchRequest)}

    def hopeless(self, events: Sequence[Event]) -> set[str]:
        """The ids of the requests that come too late, or for which there is no time beside the others."""
        _, hopeless = self._part(events, datetime.now(UTC))
        self._behind = bool(hopeless)
        return {search.event.id for search in hopeless}

    def refuse(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer requests that are hopeless."""
        self._refuse(_searches(events), datetime.now(UTC))
        return {}

    def is_behind(self) -> bool:
        """Whether some of the last batch were too late or too many: it is time to take more at once.

        Partitions are taken in turn, so while one has requests in time the line of another may grow old. Of a
        larger batch the newest are looked at, until there are no more waiting than can be done soon. So the
        line stays short, and what is done is done well before its deadline.
        """
        return self._behind

    def _part(self, events: Sequence[Event], now: datetime) -> tuple[list[QueryState], list[QueryState]]:
        """Searches that can be done, and those that cannot."""
        late, in_time = split(_searches(events), now, self._pace.longest())
        in_time, too_many = self._affordable(in_time, now)
        return in_time, late + too_many

    def _refuse(self, searches: Sequence[QueryState], now: datetime) -> None:
        for search in searches:
            if search.is_late(now, self._pace.longest()):
                self._answers.expired(search.event, search.request)
            else:
                self._answers.unavailable(search.event, search.request, Unavailable(OVERLOADED))

    def _affordable(
        self, searches: Sequence[QueryState], now: datetime
    ) -> tuple[list[QueryState], list[QueryState]]:
        """The newest searches that can be done in a small part of the time that each has left; the others."""
        newest = sorted(searches, key=lambda search: search.event.time, reverse=True)
        count = self._at_once
        while count < len(newest):
            more = newest[: count + self._at_once]
            turns = len(more) / self._at_once
            if turns * self._pace.mean > SOON * min(search.seconds_left(now) for search in more):
                break
            count = len(more)
        return newest[:count], newest[count:]

    def _answers_to(self, searches: Sequence[QueryState], started: datetime) -> list[Answer]:
        """An answer for each. Where the index fails at a batch, each search is tried alone: one may be at fault."""
        try:
            return self._found(searches, started)
        except (EngineError, ValueError) as error:
            if len(searches) > 1:
                afresh = [QueryState(one.event, one.request) for one in searches]
                return [answer for one in afresh for answer in self._answers_to([one], started)]
            [one] = searches
            self._log.exception("the index fails at a search", request_id=one.request.request_id, why=str(error))
            return [partial(self._answers.unavailable, one.event, one.request, Unavailable(INDEX_FAILED))]

    def _found(self, searches: Sequence[QueryState], started: datetime) -> list[Answer]:
        """An answer for each; those whose pictures took until their deadline are not searched any more."""
        clock = StageTimer()
        self._looks.find(searches, clock)
        seen = [s for s in searches if s.failure is None]
        late, in_time = split(seen, datetime.now(UTC))
        answers: list[Answer] = [partial(self._answers.expired, s.event, s.request) for s in late]
        answers += self._search(in_time, clock, started)
        for s in searches:
            if s.failure is not None and _may_pass(s.failure):
                away = Unavailable(s.failure.message)
                answers.append(partial(self._answers.unavailable, s.event, s.request, away))
            elif s.failure is not None:
                answers.append(partial(self._answers.rejected, s.event, s.request.request_id, s.failure))
        return answers

    def _search(self, searches: Sequence[QueryState], clock: StageTimer, started: datetime) -> list[Answer]:
        findings = self._finder.find(searches, started)
        searched = clock.lap()
        steps = {"fetched": clock.fetched, "decoded": clock.decoded, "encoded": clock.encoded, "searched": searched}
        answers: list[Answer] = []
        done = datetime.now(UTC)
        for search, found in zip(searches, findings, strict=True):
            if search.failure is not None:
                continue
            if search.is_late(done, 0):
                answers.append(partial(self._answers.expired, search.event, search.request))
                continue
            queued = max(0.0, (started - search.event.time).total_seconds() * 1000)
            times = SearchTimes(queued=queued, **steps)
            answers.append(partial(self._answers.found, search.event, search.request, found, times))
        self._log.info("answered", searches=len(searches), **{f"{k}_ms": round(v, 1) for k, v in steps.items()})
        return answers


def _searches(events: Sequence[Event]) -> list[QueryState]:
    return [QueryState(event, event.body) for event in events if isinstance(event.body, SearchRequest)]


def _may_pass(failure: Failure) -> bool:
    """Whether a search that failed so may work later as it is; a picture that is not there is its own fault."""
    return isinstance(failure, TryLater) and failure.code != Code.IMAGE_MISSING


def _not_a_search() -> Rejected:
    return Rejected(Code.EVENT_UNKNOWN, "the topic of requests takes search.request/1 and facets.request/1")
