"""Search client: send requests over Kafka; read one results partition and match answers by correlation id."""

import time
from collections import deque
from collections.abc import Container, Iterable, Sequence
from types import TracebackType
from typing import Self

from infra.config.kafka import KafkaSettings
from infra.kafka import LOW_LATENCY_DELIVERY, EventSink, Record, ReplyReader
from infra.observability.tracing import SpanWriter
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event, from_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Unavailable
from schemas.freshness import RecordPosition
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS, SEARCH_RESULTS, TOPIC_OF

GRACE_SECONDS = 2.0
"""Seconds after the deadline in which an answer may still arrive, such as one with the status `expired`."""

POLL_SECONDS = 0.1


class NoAnswer(Unavailable):
    """No answer arrived in time; the message names the remedy."""


class SearchClient:
    """Sends search requests and waits for their answers; for one thread, with any number of requests in flight."""

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
        self._deadlines: dict[str, float] = {}
        self._answers: dict[str, SearchResult | FacetsResult] = {}

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
        answer = self._wait_for_answer(request.request_id)
        if not isinstance(answer, FacetsResult):
            raise NoAnswer(
                f"request {request.request_id} was answered by a {type(answer).__name__}: send another id"
            )
        return answer

    def search_all(self, requests: Iterable[SearchRequest], in_flight: int = 16) -> list[SearchResult]:
        """The answers in the order of the requests; at most `in_flight` requests are pending at a time."""
        waiting: deque[str] = deque()
        answers = []
        for request in requests:
            if len(waiting) >= in_flight:
                answers.append(self.wait(waiting.popleft()))
            self.send([request])
            waiting.append(request.request_id)
        return answers + [self.wait(request_id) for request_id in waiting]

    def send(self, requests: Sequence[SearchRequest | FacetsRequest]) -> None:
        """Queue requests, each of which must be waited for; the first wait flushes them all."""
        for request in requests:
            event = request_event(request, self._reply_to, self._reader.partition)
            self._sink.send(SEARCH_REQUESTS, request.request_id, event)
            self._deadlines[request.request_id] = time.monotonic() + request.deadline_ms / 1000 + self._grace_s

    def wait(self, request_id: str) -> SearchResult:
        """The answer to a sent request.

        Raises NoAnswer if none arrives within the deadline and grace, Unavailable if Kafka did not accept it.
        """
        answer = self._wait_for_answer(request_id)
        if not isinstance(answer, SearchResult):
            raise NoAnswer(_wrong_answer(request_id))
        return answer

    def _wait_for_answer(self, request_id: str) -> SearchResult | FacetsResult:
        self._sink.flush()
        deadline = self._deadlines[request_id]
        try:
            while request_id not in self._answers:
                if time.monotonic() >= deadline:
                    raise NoAnswer(no_answer_message(request_id, self._grace_s))
                self._store_answer(self._reader.poll(POLL_SECONDS))
            return self._answers.pop(request_id)
        finally:
            del self._deadlines[request_id]

    def close(self) -> None:
        """Close the connection to the broker."""
        self._reader.close()
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _store_answer(self, record: Record | None) -> None:
        """Store a record that answers a pending request."""
        answer = None if record is None else matching_answer(record, self._deadlines)
        if answer is not None:
            self._answers[answer.request_id] = answer


def request_event(request: SearchRequest | FacetsRequest, reply_to: str, partition: int) -> Event:
    """The event of a request, with its reply topic and partition in the headers."""
    headers = {CORRELATION_ID: request.request_id, REPLY_TO: reply_to, REPLY_PARTITION: str(partition)}
    return Event(request, source="lookstream/search", extra=headers)


def matching_answer(record: Record, request_ids: Container[str]) -> SearchResult | FacetsResult | None:
    """The answer in a record if it belongs to one of `request_ids`: a partition has answers to others too."""
    if record.value is None:
        return None
    request_id = (record.headers.get(CORRELATION_ID) or record.key or b"").decode("utf-8", "replace")
    if request_id not in request_ids:
        return None
    body = from_bytes(record.value)
    return body if isinstance(body, SearchResult | FacetsResult) and body.request_id == request_id else None


def acknowledged_positions(sink: EventSink) -> tuple[RecordPosition, ...]:
    """Positions of the newest acknowledged item events of a sink."""
    sources = {topic: source for source, topic in TOPIC_OF.items()}
    newest = [(sources.get(topic), partition, offset) for (topic, partition), offset in sink.arrived.items()]
    return tuple(
        RecordPosition.model_validate({"source": source, "partition": partition, "offset": offset})
        for source, partition, offset in newest
        if source is not None
    )


def no_answer_message(request_id: str, grace_s: float) -> str:
    return (
        f"no answer came to search {request_id} by its deadline and {grace_s:g} s of grace: "
        "see that a query worker runs (`lookstream up`), or give it longer with --deadline"
    )


def _wrong_answer(request_id: str) -> str:
    return f"request {request_id} was answered as one of another kind: give each request an id of its own"
