"""Request handler: answer the requests of one topic, and defer searches that need a fresher index."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from consumers.points.progress import ProgressReader, covers
from consumers.runtime.ports import HandlerDefaults
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from schemas.envelope import Event
from schemas.facets import FacetsRequest
from schemas.failures import Failure, Unavailable
from schemas.freshness import Watermark
from schemas.searches import SearchRequest

MIN_SECONDS_LEFT = 0.1
"""A deferred search is answered `unavailable` when it has no more time left than this."""
WAIT_RECORD_SECONDS = 10.0
"""How long the end of a search's wait is remembered after it has passed: long enough to answer the search."""
MAX_WAITING_SEARCHES = 100
"""Most searches that wait for the index at the same time. Further ones are answered `unavailable`, so that waiting
searches do not block the others."""
INDEX_BEHIND = "the index has not reached `min_as_of`: wait for the outcome of the event, or set a longer deadline"


class RequestHandler(HandlerDefaults):
    """Answers search and facets requests in batches."""

    def __init__(
        self, searches: SearchHandler, facets: FacetsHandler, progress: ProgressReader, replies: ReplyPublisher
    ) -> None:
        self._searches = searches
        self._facets = facets
        self._progress = progress
        self._replies = replies
        self._wait_until: dict[str, float] = {}
        """End of each search's wait by event id, in seconds of the monotonic clock. Producers' clocks are not used:
        they may be far ahead."""

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request. Raises Unavailable before anything is sent."""
        self._replies.update_as_of(self._as_of())
        facets, premature, ready = list[Event](), list[Event](), list[Event]()
        for event in events:
            if isinstance(event.body, FacetsRequest):
                facets.append(event)
            elif self._needs_fresher_index(event):
                premature.append(event)
            else:
                ready.append(event)
        failures: dict[str, Failure] = {}
        for handle, part in ((self._facets.handle, facets), (self._searches.handle, ready)):
            if part:
                failures |= handle(part)
        for event in premature:
            self._reply_index_behind(event)
        return failures

    def handle_expired(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer requests that cannot be handled in time."""
        return self._searches.handle_expired(events)

    def is_behind(self) -> bool:
        """Return whether larger batches should be taken."""
        return self._searches.is_behind()

    def expired_ids(self, events: Sequence[Event]) -> set[str]:
        """Return the ids of requests that cannot be handled in time, without searches that wait for the index."""
        return self._searches.find_expired([event for event in events if not _has_freshness_bound(event)])

    def deferred_ids(self, events: Sequence[Event]) -> set[str]:
        """Return the ids of searches that have time to wait until the index has reached their `min_as_of`."""
        bounded = [event for event in events if _has_freshness_bound(event)]
        if not bounded:
            return set()
        self._replies.update_as_of(self._as_of())
        return {event.id for event in bounded if self._needs_fresher_index(event) and self._may_wait(event)}

    def _may_wait(self, event: Event) -> bool:
        """Return whether a search may wait longer; the first call sets the end of its wait."""
        now = time.monotonic()
        self._wait_until = {
            id: until for id, until in self._wait_until.items() if until > now - WAIT_RECORD_SECONDS
        }
        if event.id not in self._wait_until:
            crowded = sum(until > now for until in self._wait_until.values()) >= MAX_WAITING_SEARCHES
            self._wait_until[event.id] = now if crowded else now + _seconds_left(event) - MIN_SECONDS_LEFT
        return self._wait_until[event.id] > now

    def _as_of(self) -> tuple[Watermark, ...]:
        """Return the progress of the index; empty when it is unreachable, which the searches themselves detect."""
        try:
            return self._progress.read()
        except Unavailable:
            return ()

    def _needs_fresher_index(self, event: Event) -> bool:
        """Return whether a search's `min_as_of` is ahead of the index."""
        body = event.body
        return isinstance(body, SearchRequest) and not covers(self._replies.as_of, body.min_as_of)

    def _reply_index_behind(self, event: Event) -> None:
        """Answer a search whose `min_as_of` the index did not reach in time."""
        assert isinstance(event.body, SearchRequest)
        if _seconds_left(event) <= 0:
            self._replies.send_expired(event, event.body)
        else:
            self._replies.send_unavailable(event, event.body, Unavailable(INDEX_BEHIND))


def _has_freshness_bound(event: Event) -> bool:
    return isinstance(event.body, SearchRequest) and bool(event.body.min_as_of)


def _seconds_left(event: Event) -> float:
    """Return the seconds until the deadline of a search; at most the deadline's full length."""
    assert isinstance(event.body, SearchRequest)
    age = max(0.0, (datetime.now(UTC) - event.time).total_seconds())
    return event.body.deadline_ms / 1000 - age
