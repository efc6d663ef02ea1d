"""Asynchronous search client: many tasks send requests over Kafka; one thread reads the answers."""

import asyncio
from concurrent.futures import Future

from infra.client.search_client import GRACE_SECONDS, NoAnswer, matching_answer, no_answer_message, request_event
from infra.client.topic_listener import TopicListener
from infra.config.kafka import KafkaSettings
from infra.kafka import LOW_LATENCY_DELIVERY, EventSink, Record, ReplyReader
from infra.observability.tracing import SpanWriter
from schemas.facets import FacetsRequest, FacetsResult
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS

Answer = SearchResult | FacetsResult


class AsyncSearchClient:
    """Sends requests and awaits their answers, concurrently; for the tasks of one event loop."""

    def __init__(
        self,
        kafka: KafkaSettings,
        reply_to: str = SEARCH_RESULTS,
        grace_s: float = GRACE_SECONDS,
        tracing: SpanWriter | None = None,
    ) -> None:
        # Create the reader first: its position must be fixed before the first request is sent.
        self._reader = ReplyReader(kafka, reply_to)
        self._sink = EventSink(kafka, LOW_LATENCY_DELIVERY)
        self._sink.tracing = tracing
        self._reply_to = reply_to
        self._grace_s = grace_s
        self._pending: dict[str, Future[Answer]] = {}
        self._listener = TopicListener(self._reader, self._resolve)

    @property
    def failure(self) -> BaseException | None:
        """The error that stopped the reading of answers; None while it runs."""
        return self._listener.failure

    @property
    def in_flight(self) -> int:
        """Number of requests whose answers are awaited."""
        return len(self._pending)

    async def search(self, request: SearchRequest) -> SearchResult:
        """The answer to a search; raises NoAnswer if none arrives within the deadline and grace, or Unavailable."""
        answer = await self._request(request)
        if not isinstance(answer, SearchResult):
            raise NoAnswer(no_answer_message(request.request_id, self._grace_s))
        return answer

    async def count(self, request: FacetsRequest) -> FacetsResult:
        """The answer to a facets request; raises as `search` does."""
        answer = await self._request(request)
        if not isinstance(answer, FacetsResult):
            raise NoAnswer(no_answer_message(request.request_id, self._grace_s))
        return answer

    def close(self) -> None:
        """Close the connection to the broker; pending requests get no answer."""
        self._listener.close()
        self._sink.close()

    async def _request(self, request: SearchRequest | FacetsRequest) -> Answer:
        answer: Future[Answer] = Future()
        self._pending[request.request_id] = answer
        seconds = request.deadline_ms / 1000 + self._grace_s
        try:
            await asyncio.to_thread(self._send, request)
            return await asyncio.wait_for(asyncio.wrap_future(answer), seconds)
        except TimeoutError:
            raise NoAnswer(no_answer_message(request.request_id, self._grace_s)) from None
        finally:
            self._pending.pop(request.request_id, None)

    def _send(self, request: SearchRequest | FacetsRequest) -> None:
        event = request_event(request, self._reply_to, self._reader.partition)
        self._sink.send(SEARCH_REQUESTS, request.request_id, event)
        self._sink.flush()

    def _resolve(self, record: Record) -> None:
        answer = matching_answer(record, self._pending)
        pending = self._pending.pop(answer.request_id, None) if answer else None  # None for a duplicate answer
        if answer and pending and pending.set_running_or_notify_cancel():
            pending.set_result(answer)
