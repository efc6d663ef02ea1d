"""AnswerRequests: searches and facets come on one topic; searches that want the index fresher wait their turn."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from consumers.answers import Answers
from consumers.facets import AnswerFacets
from consumers.freshness import Freshness, has_passed
from consumers.query import AnswerSearches
from schemas.envelope import Event
from schemas.facets import FacetsRequest
from schemas.failures import Failure, Unavailable
from schemas.freshness import AsOf
from schemas.searches import SearchRequest

PAUSE_SECONDS = 0.02
"""Between two looks at the index, when nothing but searches that wait for it is at hand."""
LEAST_MS = 100
"""A search that waits is answered `unavailable` when it has no more time left than this."""
BEHIND = "the index has not come as far as `min_as_of` asks: wait for the outcome of the event, or allow more time"


class AnswerRequests:
    """A job: `handle` answers whatever requests there are."""

    def __init__(
        self, searches: AnswerSearches, facets: AnswerFacets, freshness: Freshness, answers: Answers
    ) -> None:
        self._searches = searches
        self._facets = facets
        self._freshness = freshness
        self._answers = answers

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request. Raises Unavailable; what was sent by then is of a transaction that is undone."""
        self._answers.as_of = self._as_of()
        facets, early, ready = list[Event](), list[Event](), list[Event]()
        for event in events:
            kind = facets if isinstance(event.body, FacetsRequest) else early if self._is_early(event) else ready
            kind.append(event)
        failures = self._facets.handle(facets) | self._searches.handle(ready)
        for event in early:
            self._send_back(event)
        if early and not facets and not ready:
            time.sleep(PAUSE_SECONDS)
        return failures

    def hopeless(self, events: Sequence[Event]) -> set[str]:
        """The ids of requests that cannot be done in time; those that wait for the index are not among them."""
        return self._searches.hopeless([event for event in events if not _waits(event)])

    def _as_of(self) -> tuple[AsOf, ...]:
        """How far the index has come; nothing while it is away, which the searches themselves find out."""
        try:
            return self._freshness.read()
        except Unavailable:
            return ()

    def _is_early(self, event: Event) -> bool:
        """Whether a search wants the index to be further than it is."""
        body = event.body
        return isinstance(body, SearchRequest) and not has_passed(self._answers.as_of, body.min_as_of)

    def _send_back(self, event: Event) -> None:
        """Have a search come again, with the time that it has left: it holds up nobody else meanwhile."""
        body = event.body
        assert isinstance(body, SearchRequest)
        left_ms = body.deadline_ms - round((datetime.now(UTC) - event.time).total_seconds() * 1000)
        if left_ms <= 0:
            self._answers.expired(event, body)
        elif left_ms <= LEAST_MS:
            self._answers.unavailable(event, body, Unavailable(BEHIND))
        else:
            self._answers.again(event, body.model_copy(update={"deadline_ms": left_ms}))


def _waits(event: Event) -> bool:
    return isinstance(event.body, SearchRequest) and bool(event.body.min_as_of)
