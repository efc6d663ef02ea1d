"""RequestHandler: searches and facets come on one topic; searches that want the index fresher wait their turn."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from consumers.points.progress import ProgressReader, has_passed
from consumers.runtime.ports import HandlerDefaults
from consumers.searching.facets_handler import FacetsHandler
from consumers.searching.replies import ReplyPublisher
from consumers.searching.search_handler import SearchHandler
from schemas.envelope import Event
from schemas.facets import FacetsRequest
from schemas.failures import Failure, Unavailable
from schemas.freshness import Watermark
from schemas.searches import SearchRequest

LEAST_SECONDS = 0.1
"""A search that waits is answered `unavailable` when it has no more time left than this."""
FORGET_SECONDS = 10.0
"""How long it is remembered that a search has waited: until it is answered."""
MOST_WAITING = 100
"""Searches that wait for the index at a time; more are answered `unavailable`, so that they hold up nobody."""
BEHIND = "the index has not come as far as `min_as_of` asks: wait for the outcome of the event, or allow more time"


class RequestHandler(HandlerDefaults):
    """A job: `handle` answers whatever requests there are."""

    def __init__(
        self, searches: SearchHandler, facets: FacetsHandler, freshness: ProgressReader, answers: ReplyPublisher
    ) -> None:
        self._searches = searches
        self._facets = facets
        self._freshness = freshness
        self._answers = answers
        self._until: dict[str, float] = {}
        """Until when each search waits, by its id. The clocks of producers do not count: they may lie far ahead."""

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request. Raises Unavailable; nothing was sent by then."""
        self._answers.as_of = self._as_of()
        facets, early, ready = list[Event](), list[Event](), list[Event]()
        for event in events:
            kind = facets if isinstance(event.body, FacetsRequest) else early if self._is_early(event) else ready
            kind.append(event)
        failures = self._facets.handle(facets) | self._searches.handle(ready)
        for event in early:
            self._give_up(event)
        return failures

    def refuse(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer requests that cannot be done in time."""
        return self._searches.refuse(events)

    def is_behind(self) -> bool:
        """Whether it is time to take more requests at once."""
        return self._searches.is_behind()

    def expired(self, events: Sequence[Event]) -> set[str]:
        """The ids of requests that cannot be done in time; those that wait for the index are not among them."""
        return self._searches.hopeless([event for event in events if not _waits(event)])

    def deferred(self, events: Sequence[Event]) -> set[str]:
        """The ids of searches that wait until the index is as far as they want, while they have the time."""
        waiting = [event for event in events if _waits(event)]
        if not waiting:
            return set()
        self._answers.as_of = self._as_of()
        return {event.id for event in waiting if self._is_early(event) and self._has_time(event)}

    def _has_time(self, event: Event) -> bool:
        """Whether a search may wait on."""
        now = time.monotonic()
        self._until = {id: until for id, until in self._until.items() if until > now - FORGET_SECONDS}
        if event.id not in self._until:
            crowded = sum(until > now for until in self._until.values()) >= MOST_WAITING
            self._until[event.id] = now if crowded else now + _left_seconds(event) - LEAST_SECONDS
        return self._until[event.id] > now

    def _as_of(self) -> tuple[Watermark, ...]:
        """How far the index has come; nothing while it is away, which the searches themselves find out."""
        try:
            return self._freshness.read()
        except Unavailable:
            return ()

    def _is_early(self, event: Event) -> bool:
        """Whether a search wants the index to be further than it is."""
        body = event.body
        return isinstance(body, SearchRequest) and not has_passed(self._answers.as_of, body.min_as_of)

    def _give_up(self, event: Event) -> None:
        """Answer a search for which the index was not far enough in time."""
        assert isinstance(event.body, SearchRequest)
        if _left_seconds(event) <= 0:
            self._answers.expired(event, event.body)
        else:
            self._answers.unavailable(event, event.body, Unavailable(BEHIND))


def _waits(event: Event) -> bool:
    return isinstance(event.body, SearchRequest) and bool(event.body.min_as_of)


def _left_seconds(event: Event) -> float:
    """Seconds until the deadline of a search, and no more than it allows in all."""
    assert isinstance(event.body, SearchRequest)
    age = max(0.0, (datetime.now(UTC) - event.time).total_seconds())
    return event.body.deadline_ms / 1000 - age
