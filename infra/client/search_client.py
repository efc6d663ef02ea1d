"""Search client: send requests over Kafka, and read their answers while one of them is awaited."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from infra.client.reply_router import (
    GRACE_SECONDS,
    POLL_SECONDS,
    Answer,
    Kind,
    ReplyRouter,
    SearchOrFacets,
    checked,
)
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink
from infra.observability.tracing import SpanWriter
from schemas.facets import FacetsRequest, FacetsResult
from schemas.freshness import RecordPosition
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_RESULTS, TOPIC_OF


class SearchClient:
    """Sends search requests and waits for their answers; for one thread, with any number of requests in flight."""

    def __init__(
        self,
        kafka: KafkaSettings,
        reply_to: str = SEARCH_RESULTS,
        grace_s: float = GRACE_SECONDS,
        tracing: SpanWriter | None = None,
    ) -> None:
        self._router = ReplyRouter(kafka, reply_to, grace_s, tracing)
        self._awaited: dict[str, tuple[Future[Answer], float]] = {}
        """The future answer and the deadline (monotonic clock) of each request, by request id."""

    def search(self, request: SearchRequest, after: EventSink | None = None) -> SearchResult:
        """Send one request and wait for its answer; raises NoAnswer, or Unavailable if Kafka is unavailable.

        With `after` the search includes all events that this sink has sent: the request waits until the index has
        processed them, or is answered with `unavailable` at its deadline.
        """
        if after is not None:
            after.flush()
            request = request.model_copy(update={"min_as_of": acknowledged_positions(after)})
        self.send([request])
        return self.wait(request.request_id)

    def count(self, request: FacetsRequest) -> FacetsResult:
        """Send a facets request and wait for its answer; raises as `search` does."""
        self.send([request])
        return self._wait(request.request_id, FacetsResult)

    def search_all(self, requests: Iterable[SearchRequest], in_flight: int = 16) -> list[SearchResult]:
        """Send requests and return their answers in order; at most `in_flight` requests are pending at a time."""
        waiting: deque[str] = deque()
        answers = []
        for request in requests:
            if len(waiting) >= in_flight:
                answers.append(self.wait(waiting.popleft()))
            self.send([request])
            waiting.append(request.request_id)
        return answers + [self.wait(request_id) for request_id in waiting]

    def send(self, requests: Sequence[SearchOrFacets]) -> None:
        """Queue requests, each of which must be waited for; the first wait flushes them all."""
        for request in requests:
            self._router.send(request)
            deadline = time.monotonic() + self._router.patience_s(request)
            self._awaited[request.request_id] = self._router.expect(request.request_id), deadline

    def wait(self, request_id: str) -> SearchResult:
        """Wait for the answer to a sent request, and return it.

        Raises NoAnswer if none arrives within the deadline and grace, Unavailable if Kafka did not accept it.
        """
        return self._wait(request_id, SearchResult)

    def _wait(self, request_id: str, kind: type[Kind]) -> Kind:
        self._router.flush()
        answer, deadline = self._awaited[request_id]
        try:
            while not answer.done():
                if time.monotonic() >= deadline:
                    raise self._router.no_answer(request_id)
                if (record := self._router.poll(POLL_SECONDS)) is not None:
                    self._router.resolve(record)
            return checked(answer.result(), kind)
        finally:
            del self._awaited[request_id]
            self._router.forget(request_id)

    def close(self) -> None:
        """Close the connection to the broker."""
        self._router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def acknowledged_positions(sink: EventSink) -> tuple[RecordPosition, ...]:
    """Positions of the newest acknowledged item events of a sink."""
    sources = {topic: source for source, topic in TOPIC_OF.items()}
    newest = [(sources.get(topic), partition, offset) for (topic, partition), offset in sink.arrived.items()]
    return tuple(
        RecordPosition.model_validate({"source": source, "partition": partition, "offset": offset})
        for source, partition, offset in newest
        if source is not None
    )
