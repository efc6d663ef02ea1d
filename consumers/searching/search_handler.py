"""Search handler: answer each search request with exactly one result."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog

from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.stage_timer import LatencyEstimate, StageTimer
from consumers.scoring.calibrator import Calibrator
from consumers.searching.query_state import INDEX_FAILED, LAST_CHANCE_SECONDS, QueryState, split_by_deadline
from consumers.searching.query_vectors import QueryVectors
from consumers.searching.replies import ReplyPublisher, SearchFindings, region_result
from consumers.searching.retrieval import Retriever
from consumers.searching.words.text_meaning import open_text_meanings
from consumers.searching.words.text_search import TextSearch
from infra.qdrant.contract import EngineError, Index
from schemas.envelope import Event
from schemas.failures import Code, Failure, Rejected, TryLater, Unavailable
from schemas.results import SearchTimes
from schemas.searches import SearchRequest

SendReply = Callable[[], None]
"""Sends one result when called."""

MAX_BATCH_SHARE = 1 / 8
"""Largest share of a search's remaining time that a batch may take, because other searches wait behind it."""
OVERLOADED = "more searches are waiting than can be answered in time: ask again, or set a longer deadline"


class SearchHandler:
    """Answers search requests in batches."""

    def __init__(
        self,
        pipeline: ImagePipeline,
        index: Index,
        calibrator: Calibrator,
        replies: ReplyPublisher,
        batch_size: int = 16,
    ) -> None:
        self._query_vectors = QueryVectors(pipeline, index, calibrator.parts)
        self._retriever = Retriever(index, calibrator, pipeline.policy)
        meanings = open_text_meanings(pipeline.text_encoder, index, calibrator.parts, time.monotonic)
        self._text_search = TextSearch(index, self._retriever, pipeline.policy, meanings)
        self._calibrator = calibrator
        self._replies = replies
        self._batch_size = batch_size
        self._behind = False
        self._pace = LatencyEstimate()
        self._log = structlog.get_logger()

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request; requests that cannot be done in time are answered without a search."""
        started = datetime.now(UTC)
        in_time, not_in_time = self._split(events, started)
        try:
            answers = self._prepare_answers(in_time, started)
        except Unavailable as error:
            if any(search.seconds_left(datetime.now(UTC)) > LAST_CHANCE_SECONDS for search in in_time):
                raise
            answers = [partial(self._replies.send_unavailable, s.event, s.request, error) for s in in_time]
        # Nothing is sent before all answers are ready: a batch that is retried must not be partly answered.
        for send_answer in answers:
            send_answer()
        self._refuse(not_in_time, started)
        if in_time:
            batches = math.ceil(len(in_time) / self._batch_size)
            self._pace.add((datetime.now(UTC) - started).total_seconds() / batches)
        return {e.id: _not_a_search() for e in events if not isinstance(e.body, SearchRequest)}

    def find_expired(self, events: Sequence[Event]) -> set[str]:
        """Return the ids of the requests that are too late, or for which the other requests leave no time."""
        _, not_in_time = self._split(events, datetime.now(UTC))
        self._behind = bool(not_in_time)
        return {search.event.id for search in not_in_time}

    def handle_expired(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer requests that cannot be done in time."""
        self._refuse(_searches(events), datetime.now(UTC))
        return {}

    def is_behind(self) -> bool:
        """Return whether larger batches should be taken: requests of the last batch were too late or too many.

        Partitions are read in turn, so the queue of one can age while another has requests in time. From a larger
        batch the newest requests are handled, as many as can be done soon. This keeps the queue short and the
        answers well before their deadlines.
        """
        return self._behind

    def _split(self, events: Sequence[Event], now: datetime) -> tuple[list[QueryState], list[QueryState]]:
        """Return the searches that can be done in time, and the others."""
        late, in_time = split_by_deadline(_searches(events), now, self._pace.upper_bound())
        in_time, too_many = self._affordable(in_time, now)
        return in_time, late + too_many

    def _refuse(self, searches: Sequence[QueryState], now: datetime) -> None:
        for search in searches:
            if search.is_late(now, self._pace.upper_bound()):
                self._replies.send_expired(search.event, search.request)
            else:
                self._replies.send_unavailable(search.event, search.request, Unavailable(OVERLOADED))

    def _affordable(
        self, searches: Sequence[QueryState], now: datetime
    ) -> tuple[list[QueryState], list[QueryState]]:
        """Return the newest searches that fit into MAX_BATCH_SHARE of each one's remaining time, and the others."""
        newest = sorted(searches, key=lambda search: search.event.time, reverse=True)
        count = self._batch_size
        while count < len(newest):
            candidates = newest[: count + self._batch_size]
            batches = len(candidates) / self._batch_size
            seconds_left = min(search.seconds_left(now) for search in candidates)
            if batches * self._pace.mean > MAX_BATCH_SHARE * seconds_left:
                break
            count = len(candidates)
        return newest[:count], newest[count:]

    def _prepare_answers(self, searches: Sequence[QueryState], started: datetime) -> list[SendReply]:
        """Return an answer for each search. If the index fails at a batch, each search is retried alone."""
        try:
            return self._process(searches, started)
        except (EngineError, ValueError) as error:
            if len(searches) > 1:
                retries = [QueryState(search.event, search.request) for search in searches]
                return [answer for search in retries for answer in self._prepare_answers([search], started)]
            [search] = searches
            self._log.exception("search failed", request_id=search.request.request_id, reason=str(error))
            unavailable = Unavailable(INDEX_FAILED)
            return [partial(self._replies.send_unavailable, search.event, search.request, unavailable)]

    def _process(self, searches: Sequence[QueryState], started: datetime) -> list[SendReply]:
        """Return an answer for each search; those whose deadline passed while embedding are not searched."""
        timer = StageTimer()
        for search in searches:
            search.set_verification(self._calibrator.verification(search.request.tenant))
        self._query_vectors.compute(searches, timer)
        searchable = [s for s in searches if s.failure is None]
        late, in_time = split_by_deadline(searchable, datetime.now(UTC))
        answers: list[SendReply] = [partial(self._replies.send_expired, s.event, s.request) for s in late]
        answers += self._search(in_time, timer, started)
        for s in searches:
            if s.failure is not None and _is_transient(s.failure):
                error = Unavailable(s.failure.message)
                answers.append(partial(self._replies.send_unavailable, s.event, s.request, error))
            elif s.failure is not None:
                answers.append(partial(self._replies.send_rejected, s.event, s.request.request_id, s.failure))
        return answers

    def _retrieve(self, searches: Sequence[QueryState], started: datetime) -> list[SearchFindings]:
        """Return the findings of each search with those of its regions, which are in the same call of the index."""
        regions = [region for search in searches for region in search.regions]
        has_words = any(search.request.text is not None or search.request.variations for search in searches)
        retriever = self._text_search if has_words else self._retriever
        results = retriever.retrieve([*searches, *regions], started)
        of_regions = iter(results[len(searches) :])
        findings = []
        for search, found in zip(searches, results, strict=False):
            pairs = [(region, next(of_regions)) for region in search.regions]
            for region, _ in pairs:
                if region.failure is not None:
                    search.fail(region.failure)
            findings.append(replace(found, regions=tuple(region_result(*pair) for pair in pairs)))
        return findings

    def _search(self, searches: Sequence[QueryState], timer: StageTimer, started: datetime) -> list[SendReply]:
        results = self._retrieve(searches, started)
        searched = timer.lap()
        steps = {"fetched": timer.fetched, "decoded": timer.decoded, "encoded": timer.encoded, "searched": searched}
        answers: list[SendReply] = []
        finished = datetime.now(UTC)
        for search, findings in zip(searches, results, strict=True):
            if search.failure is not None:
                continue
            if search.is_late(finished, 0):
                answers.append(partial(self._replies.send_expired, search.event, search.request))
                continue
            queued = max(0.0, (started - search.event.time).total_seconds() * 1000)
            times = SearchTimes(queued=queued, **steps)
            answers.append(partial(self._replies.send_findings, search.event, search.request, findings, times))
        self._log.info("answered", searches=len(searches), **{f"{k}_ms": round(v, 1) for k, v in steps.items()})
        return answers


def _searches(events: Sequence[Event]) -> list[QueryState]:
    return [QueryState(event, event.body) for event in events if isinstance(event.body, SearchRequest)]


def _is_transient(failure: Failure) -> bool:
    """Return whether the same search may succeed later; a missing picture is the fault of the request."""
    return isinstance(failure, TryLater) and failure.code != Code.IMAGE_MISSING


def _not_a_search() -> Rejected:
    return Rejected(Code.EVENT_UNKNOWN, "the topic of requests takes search.request/1 and facets.request/1")
