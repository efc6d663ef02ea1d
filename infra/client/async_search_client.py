"""Asynchronous search client: many tasks send requests over Kafka; one thread reads the answers."""

import asyncio

from infra.client.reply_router import GRACE_SECONDS, Kind, ReplyRouter, SearchOrFacets, checked
from infra.client.topic_listener import TopicListener
from infra.config.kafka import KafkaSettings
from infra.observability.tracing import SpanWriter
from schemas.facets import FacetsRequest, FacetsResult
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_RESULTS


class AsyncSearchClient:
    """Sends requests and awaits their answers, concurrently; for the tasks of one event loop."""

    def __init__(
        self,
        kafka: KafkaSettings,
        reply_to: str = SEARCH_RESULTS,
        grace_s: float = GRACE_SECONDS,
        tracing: SpanWriter | None = None,
    ) -> None:
        self._router = ReplyRouter(kafka, reply_to, grace_s, tracing)
        self._listener = TopicListener(self._router, self._router.resolve)

    @property
    def failure(self) -> BaseException | None:
        """The error that stopped the thread that reads answers; None while the thread runs."""
        return self._listener.failure

    @property
    def in_flight(self) -> int:
        """Number of requests that have no answer yet."""
        return self._router.in_flight

    async def search(self, request: SearchRequest) -> SearchResult:
        """Send a search and return its answer; raises NoAnswer after the deadline and grace, or Unavailable."""
        return await self._request(request, SearchResult)

    async def count(self, request: FacetsRequest) -> FacetsResult:
        """Send a facets request and return its answer; raises as `search` does."""
        return await self._request(request, FacetsResult)

    def close(self) -> None:
        """Close the connection to the broker; pending requests get no answer."""
        self._listener.close()

    async def _request(self, request: SearchOrFacets, kind: type[Kind]) -> Kind:
        answer = self._router.expect(request.request_id)
        try:
            await asyncio.to_thread(self._send, request)
            seconds = self._router.patience_s(request)
            return checked(await asyncio.wait_for(asyncio.wrap_future(answer), seconds), kind)
        except TimeoutError:
            raise self._router.no_answer(request.request_id) from None
        finally:
            self._router.forget(request.request_id)

    def _send(self, request: SearchOrFacets) -> None:
        self._router.send(request)
        self._router.flush()
