"""AnswerRequests: searches and facets come on one topic, and each kind is answered by its own job."""

from collections.abc import Sequence

from consumers.facets import AnswerFacets
from consumers.query import AnswerSearches
from schemas.envelope import Event
from schemas.facets import FacetsRequest
from schemas.failures import Failure


class AnswerRequests:
    """A job: `handle` answers whatever requests there are."""

    def __init__(self, searches: AnswerSearches, facets: AnswerFacets) -> None:
        self._searches = searches
        self._facets = facets

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request. Raises Unavailable; what was sent by then is of a transaction that is undone."""
        facets = [event for event in events if isinstance(event.body, FacetsRequest)]
        others = [event for event in events if not isinstance(event.body, FacetsRequest)]
        return self._facets.handle(facets) | self._searches.handle(others)
