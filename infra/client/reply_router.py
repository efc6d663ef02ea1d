"""Reply router: send requests over Kafka, and pass each answer in one results partition to its waiting caller."""

from collections.abc import Container
from concurrent.futures import Future
from typing import TypeVar

from infra.config.kafka import KafkaSettings
from infra.kafka import LOW_LATENCY_DELIVERY, EventSink, Record, ReplyReader
from infra.observability.tracing import SpanWriter
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event, from_bytes
from schemas.facets import FacetsRequest, FacetsResult
from schemas.failures import Unavailable
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS

GRACE_SECONDS = 2.0
"""Seconds after the deadline in which an answer may still arrive, such as one with the status `expired`."""
POLL_SECONDS = 0.1

SearchOrFacets = SearchRequest | FacetsRequest
Answer = SearchResult | FacetsResult
Kind = TypeVar("Kind", SearchResult, FacetsResult)


class NoAnswer(Unavailable):
    """No answer arrived in time; the message names the remedy."""


class ReplyRouter:
    """Sends requests from any thread; one thread polls, and passes each record to `resolve`."""

    def __init__(self, kafka: KafkaSettings, reply_to: str, grace_s: float, tracing: SpanWriter | None) -> None:
        # Create the reader first: its position must be fixed before the first request is sent.
        self._reader = ReplyReader(kafka, reply_to)
        self._sink = EventSink(kafka, LOW_LATENCY_DELIVERY, tracing=tracing)
        self._reply_to = reply_to
        self._grace_s = grace_s
        self._pending: dict[str, Future[Answer]] = {}

    @property
    def in_flight(self) -> int:
        """Number of requests that have no answer yet."""
        return len(self._pending)

    def expect(self, request_id: str) -> Future[Answer]:
        """Register a request; the future receives its answer, until `forget` is called."""
        answer = self._pending[request_id] = Future[Answer]()
        return answer

    def forget(self, request_id: str) -> None:
        """Stop expecting an answer; without effect after it has arrived."""
        self._pending.pop(request_id, None)

    def send(self, request: SearchOrFacets) -> None:
        """Queue a request, with its reply topic and partition in the headers."""
        id, partition = request.request_id, str(self._reader.partition)
        headers = {CORRELATION_ID: id, REPLY_TO: self._reply_to, REPLY_PARTITION: partition}
        self._sink.send(SEARCH_REQUESTS, id, Event(request, source="lookstream/search", extra=headers))

    def flush(self) -> None:
        """Wait until Kafka has the queued requests; raises Unavailable if it did not accept them."""
        self._sink.flush()

    def patience_s(self, request: SearchOrFacets) -> float:
        """Seconds to wait for the answer: the request's deadline and the grace."""
        return request.deadline_ms / 1000 + self._grace_s

    def no_answer(self, request_id: str) -> NoAnswer:
        """The error for a request that was not answered in time."""
        return no_answer(request_id, self._grace_s)

    def poll(self, seconds: float) -> Record | None:
        """The next record of the results partition, or None if none arrives in time."""
        return self._reader.poll(seconds)

    def resolve(self, record: Record) -> None:
        """Pass an answer to the request that awaits it; ignore duplicates, and answers to other clients."""
        answer = matching_answer(record, self._pending)
        pending = self._pending.pop(answer.request_id, None) if answer else None
        if answer and pending and pending.set_running_or_notify_cancel():
            pending.set_result(answer)

    def close(self) -> None:
        """Close the connections to the broker; pending requests get no answer."""
        self._reader.close()
        self._sink.close()


def matching_answer(record: Record, request_ids: Container[str]) -> Answer | None:
    """The answer in a record if it belongs to one of `request_ids`, not to another client."""
    if record.value is None:
        return None
    request_id = (record.headers.get(CORRELATION_ID) or record.key or b"").decode("utf-8", "replace")
    if request_id not in request_ids:
        return None
    body = from_bytes(record.value)
    return body if isinstance(body, Answer) and body.request_id == request_id else None


def checked(answer: Answer, kind: type[Kind]) -> Kind:
    """The answer, if it is of this kind; raises NoAnswer when requests of both kinds share an id."""
    if not isinstance(answer, kind):
        raise NoAnswer(
            f"request {answer.request_id} was answered as one of another kind: give each request an id of its own"
        )
    return answer


def no_answer(request_id: str, grace_s: float) -> NoAnswer:
    """The error for a request that was not answered by its deadline plus `grace_s`."""
    return NoAnswer(
        f"no answer came to search {request_id} by its deadline and {grace_s:g} s of grace: "
        "see that a query worker runs (`lookstream up`), or give it longer with --deadline"
    )
