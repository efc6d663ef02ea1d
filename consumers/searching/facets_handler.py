"""Facets handler: answer each facets request with one result."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from consumers.embedding.moderation import ALLOW_ALL, ModerationPolicy
from consumers.searching.query_state import INDEX_FAILED, LAST_CHANCE_SECONDS
from consumers.searching.replies import ReplyPublisher
from infra.qdrant.conditions import MAIN_PICTURE
from infra.qdrant.contract import EngineError, FacetPlan, Index
from schemas.envelope import Event
from schemas.facets import Facet, FacetCount, FacetsRequest, FacetsResult
from schemas.failures import Failure, Unavailable
from schemas.filters import Filters


class FacetsHandler:
    """Answers facets requests in batches; other events must not be passed to it."""

    def __init__(self, index: Index, replies: ReplyPublisher, policy: ModerationPolicy = ALLOW_ALL) -> None:
        self._index = index
        self._replies = replies
        self._policy = policy

    def handle(self, events: Sequence[Event]) -> dict[str, Failure]:
        """Answer each request. Raises Unavailable when the index is unreachable and there is time to wait."""
        results = [(event, self._count(event, body)) for event in events if (body := _facets_request(event))]
        for event, result in results:
            self._replies.send(result, event)
        return {}

    def _count(self, event: Event, request: FacetsRequest) -> FacetsResult:
        seconds_left = request.deadline_ms / 1000 - (datetime.now(UTC) - event.time).total_seconds()
        if seconds_left <= 0:
            message = f"the deadline of {request.deadline_ms} ms has passed: ask again, or set a longer deadline"
            return FacetsResult(request_id=request.request_id, status="expired", message=message)
        try:
            facets = self._index.facets([self._plan(request, name) for name in request.facets])
        except Unavailable as error:
            if seconds_left > LAST_CHANCE_SECONDS:
                raise
            return FacetsResult(request_id=request.request_id, status="unavailable", message=str(error)[:500])
        except (EngineError, ValueError) as error:  # concerns this request only, so the worker must not stop
            structlog.get_logger().exception("facet counts failed", reason=str(error))
            return FacetsResult(request_id=request.request_id, status="unavailable", message=INDEX_FAILED)
        counts = {
            name: _top_values(values, request.limit) for name, values in zip(request.facets, facets, strict=True)
        }
        return FacetsResult(request_id=request.request_id, status="ok", counts=counts)

    def _plan(self, request: FacetsRequest, name: Facet) -> FacetPlan:
        """Return the plan for one facet: it applies the filters on all fields except the facet's own."""
        other_filters = {field: value for field, value in request.filters if field != name}
        filters = Filters.model_construct(**other_filters)
        moderation = self._policy.visibility_conditions(restricted=request.restricted)
        return FacetPlan(
            name, request.tenant, filters, request.any_of, request.none_of, (MAIN_PICTURE, *moderation)
        )


def _facets_request(event: Event) -> FacetsRequest | None:
    return event.body if isinstance(event.body, FacetsRequest) else None


def _top_values(counts: Mapping[str, int], limit: int) -> tuple[FacetCount, ...]:
    """Return the `limit` most frequent values; values with the same count are sorted by name."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(FacetCount(value=value, count=count) for value, count in ranked[:limit])
