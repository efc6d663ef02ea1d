"""A query worker for tests: it answers each request with the results that the test chooses."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, Record
from schemas.envelope import CORRELATION_ID, REPLY_PARTITION, REPLY_TO, Event, from_bytes
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_REQUESTS
from tests.worker_thread import run_worker

Responder = Callable[[SearchRequest], list[SearchResult]]
RunQueryWorker = Callable[[Responder], AbstractContextManager[None]]


def run_query_worker(kafka: KafkaSettings, respond: Responder) -> AbstractContextManager[None]:
    """Run the worker in a thread: it sends the results that `respond` returns for each request."""

    def handle(record: Record, sink: EventSink) -> None:
        if record.value is None:
            return
        request = from_bytes(record.value)
        assert isinstance(request, SearchRequest)
        headers = {name: (value or b"").decode() for name, value in record.headers.items()}
        for result in respond(request):
            event = Event(result, extra={CORRELATION_ID: result.request_id})
            sink.send(headers[REPLY_TO], result.request_id, event, int(headers[REPLY_PARTITION]))

    return run_worker(kafka, [SEARCH_REQUESTS], handle)
