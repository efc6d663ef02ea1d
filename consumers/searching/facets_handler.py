"""FacetsHandler: each facets request gets one result."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from consumers.embedding.moderation import OPEN, ModerationPolicy
from consumers.searching.query_state import INDEX_FAILED, LAST_CHANCE_SECONDS
from consumers.searching.replies import ReplyPublisher
from infra.qdrant.conditions import MAIN_PICTURE
from infra.qdrant.contract import EngineError, FacetPlan, Index
from schemas.envelope import Event
from schemas.facets import Facet, FacetCount, FacetsRequest, FacetsResult
from schemas.failures import Failure, Unavailable
from schemas.filters import Filters


class FacetsHandler:
    """A job: `handle` answers facets requests; it is given nothing else."""

    def __init__(self, index: Index, answers: ReplyPublisher, policy: ModerationPolicy = OPEN) -> None:
        self._index = index
        self._answers = answers
        self._policy = policy

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request; raises Unavailable while the index is away and there is time to wait for it."""
        results = [(event, self._result(event, body)) for event in events if (body := _request_in(event))]
        for event, result in results:
            self._answers.send(result, event)
        return {}

    def _result(self, event: Event, request: FacetsRequest) -> FacetsResult:
        left = request.deadline_ms / 1000 - (datetime.now(UTC) - event.time).total_seconds()
        if left <= 0:
            text = f"the deadline of {request.deadline_ms} ms had passed: ask again, or allow more time"
            return FacetsResult(request_id=request.request_id, status="expired", message=text)
        try:
            found = self._index.facets([self._plan(request, name) for name in request.facets])
        except Unavailable as away:
            if left > LAST_CHANCE_SECONDS:
                raise
            return FacetsResult(request_id=request.request_id, status="unavailable", message=str(away)[:500])
        except (EngineError, ValueError) as error:  # of this request alone, so no reason to end for it
            structlog.get_logger().exception("the index fails at a request", why=str(error))
            return FacetsResult(request_id=request.request_id, status="unavailable", message=INDEX_FAILED)
        counts = {name: _counts(each, request.limit) for name, each in zip(request.facets, found, strict=True)}
        return FacetsResult(request_id=request.request_id, status="ok", counts=counts)

    def _plan(self, request: FacetsRequest, name: Facet) -> FacetPlan:
        """What is counted for a field: whatever passes the filters on all the others."""
        others = {field: value for field, value in request.filters if field != name}
        filters, shown = Filters.model_construct(**others), self._policy.showable(restricted=request.restricted)
        return FacetPlan(name, request.tenant, filters, request.any_of, request.none_of, (MAIN_PICTURE, *shown))


def _request_in(event: Event) -> FacetsRequest | None:
    return event.body if isinstance(event.body, FacetsRequest) else None


def _counts(found: Mapping[str, int], limit: int) -> tuple[FacetCount, ...]:
    """The most frequent values; those of one count by their names."""
    ranked = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return tuple(FacetCount(value=value, count=count) for value, count in ranked[:limit])
